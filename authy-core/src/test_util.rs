//! An authenticator for tests of services: it accepts the tokens that a test names.
//!
//! Enable the feature `test-util` in `[dev-dependencies]` only. The type is not one that a service uses in production: a
//! `LocalVerifier`, a `Client` and an `Authy` never accept its tokens, whether or not the feature is enabled.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{Authenticator, Error, ErrorKind, Identity, Level, Result, SessionId, UserId, Username, time};

/// An [`Authenticator`] for tests. Cheap to clone; clones share the tokens, so that a test changes them while a service
/// runs.
///
/// ```
/// use authy_core::{Authenticator as _, ErrorKind, Identity, test_util::FakeAuthenticator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let authy = FakeAuthenticator::new()
///     .with("ada", Identity::test().level(10).roles(["user"]))
///     .with("grace", Identity::test().level(1).roles(["admin", "user"]));
/// assert_eq!(authy.authenticate("ada").await.unwrap().level.get(), 10);
/// assert_eq!(authy.authenticate("eve").await.unwrap_err().kind(), ErrorKind::InvalidToken);
///
/// authy.refuse_all(ErrorKind::Unavailable);
/// assert_eq!(authy.authenticate("ada").await.unwrap_err().kind(), ErrorKind::Unavailable);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct FakeAuthenticator(Arc<Mutex<Fakes>>);

#[derive(Default)]
struct Fakes {
    answers: HashMap<String, Result<Identity, ErrorKind>>,
    refuses_all: Option<ErrorKind>,
}

impl FakeAuthenticator {
    /// Creates an authenticator that accepts no token.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts a token, as [`accept`](Self::accept).
    #[must_use]
    pub fn with(self, token: &str, identity: impl Into<Identity>) -> Self {
        self.accept(token, identity);
        self
    }

    /// Accepts a token from now on.
    pub fn accept(&self, token: &str, identity: impl Into<Identity>) {
        self.fakes().answers.insert(token.to_owned(), Ok(identity.into()));
    }

    /// Refuses a token from now on, with an error of this kind. A token that was never accepted is
    /// [`ErrorKind::InvalidToken`].
    pub fn refuse(&self, token: &str, kind: ErrorKind) {
        self.fakes().answers.insert(token.to_owned(), Err(kind));
    }

    /// Refuses every token with an error of this kind, until [`recover`](Self::recover) is called:
    /// [`ErrorKind::Unavailable`] is the answer of an authenticator that cannot ask authy.
    pub fn refuse_all(&self, kind: ErrorKind) {
        self.fakes().refuses_all = Some(kind);
    }

    /// Ends [`refuse_all`](Self::refuse_all).
    pub fn recover(&self) {
        self.fakes().refuses_all = None;
    }

    fn fakes(&self) -> MutexGuard<'_, Fakes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Authenticator for FakeAuthenticator {
    async fn authenticate(&self, token: &str) -> Result<Identity> {
        let fakes = self.fakes();
        let answer = match fakes.refuses_all {
            Some(kind) => Err(kind),
            None => fakes.answers.get(token).cloned().unwrap_or(Err(ErrorKind::InvalidToken)),
        };
        answer.map_err(|kind| Error::new(kind, "the test refuses this token"))
    }
}

impl fmt::Debug for FakeAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeAuthenticator").finish_non_exhaustive()
    }
}

/// Configures an [`Identity`] for a test.
#[derive(Clone, Debug)]
pub struct TestIdentity(Identity);

impl Identity {
    /// Begins an identity for a test: a random user named `test-user` with the largest level and without roles, in a
    /// random session, for an hour.
    pub fn test() -> TestIdentity {
        TestIdentity(Identity {
            public_id: UserId::random(),
            username: "test-user".parse().ok(),
            level: Level::clamped(Level::MAX),
            roles: Some(Vec::new()),
            ver: 1,
            session_id: SessionId::random(),
            expires: time::now() + Duration::from_secs(3600),
        })
    }
}

impl TestIdentity {
    /// Sets the account.
    #[must_use]
    pub fn user(mut self, id: UserId, name: Username) -> Self {
        (self.0.public_id, self.0.username) = (id, Some(name));
        self
    }

    /// Sets the level.
    #[must_use]
    pub fn level(mut self, level: u32) -> Self {
        self.0.level = Level::clamped(level);
        self
    }

    /// Sets the roles.
    ///
    /// # Panics
    /// When a text is not the name of a role.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that names no role fails")]
    pub fn roles<'a>(mut self, roles: impl IntoIterator<Item = &'a str>) -> Self {
        let role =
            |name: &str| name.parse().unwrap_or_else(|error| panic!("{name:?} is not the name of a role: {error}"));
        self.0.roles = Some(roles.into_iter().map(role).collect());
        self
    }
}

impl From<TestIdentity> for Identity {
    fn from(TestIdentity(identity): TestIdentity) -> Self {
        identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kind(authy: &FakeAuthenticator, token: &str) -> Option<ErrorKind> {
        authy.authenticate(token).await.err().map(|error| error.kind())
    }

    #[tokio::test]
    async fn a_named_token_is_accepted_until_the_test_says_otherwise() {
        let id = UserId::random();
        let ada = Identity::test().user(id, "ada".parse().unwrap()).level(10).roles(["user", "bidder"]);
        let authy = FakeAuthenticator::new().with("ada", ada);
        let clone = authy.clone();
        let identity = clone.authenticate("ada").await.unwrap();
        assert_eq!((identity.public_id, identity.username.unwrap().as_str(), identity.level.get()), (id, "ada", 10));
        assert_eq!(identity.roles.unwrap(), ["user".parse().unwrap(), "bidder".parse().unwrap()]);
        assert_eq!(kind(&clone, "eve").await, Some(ErrorKind::InvalidToken));
        authy.refuse_all(ErrorKind::Unavailable);
        assert_eq!(kind(&clone, "ada").await, Some(ErrorKind::Unavailable));
        assert_eq!(kind(&clone, "eve").await, Some(ErrorKind::Unavailable));
        authy.recover();
        assert_eq!(kind(&clone, "ada").await, None);
        authy.refuse("ada", ErrorKind::NoRole);
        assert_eq!(kind(&clone, "ada").await, Some(ErrorKind::NoRole));
        authy.accept("ada", Identity::test());
        assert_eq!(kind(&clone, "ada").await, None);
        assert!(!format!("{authy:?}").contains("ada"));
    }

    #[test]
    #[should_panic(expected = "is not the name of a role")]
    fn a_text_that_is_no_role_fails_the_test() {
        let _ = Identity::test().roles(["!"]);
    }
}
