//! Verifies tokens here: by the public keys, and by what is void, both of which are followed in the background.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use authy_core::{
    Authenticator, Error, ErrorKind, Identity, Result,
    claims::Token,
    revocation::{Clock, Cursor, Freshness, Revocation, RevocationSet},
    time,
    token_cache::TokenCache,
};
use tokio::task::AbortHandle;

use crate::Client;

mod follow;
#[cfg(feature = "fuzz-entry-points")]
pub(crate) mod fuzz;
mod keys;
mod store;

use keys::Keys;
use store::Store;

/// What a [`LocalVerifier`] does when it has not heard from the server for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenStale {
    /// It answers [`ErrorKind::Unavailable`]: a token may have become void, and nobody here knows.
    #[default]
    Refuse,
    /// It asks the server about each token, and answers what the server does.
    AskServer,
}

/// How a [`LocalVerifier`] is made.
#[derive(Debug)]
pub struct VerifierBuilder {
    client: Client,
    issuer: String,
    audience: String,
    max_staleness: Duration,
    when_stale: WhenStale,
    file: Option<PathBuf>,
}

impl VerifierBuilder {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            // What a server calls itself unless it is told otherwise.
            issuer: client.url().to_owned(),
            client,
            audience: "authy".to_owned(),
            // A restart of the server takes less; a logout that takes longer to arrive is none.
            max_staleness: Duration::from_secs(30),
            when_stale: WhenStale::Refuse,
            file: None,
        }
    }

    /// Who issues the tokens (`iss`): the server's `AUTHY_ISSUER`. The client's URL when left out.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Whom the tokens are for (`aud`): the server's `AUTHY_AUDIENCE`. `authy` when left out.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Maximum age of what is known of revocations; beyond it the verifier answers `Unavailable`. 30 seconds when left out. The
    /// age counts from the server's own snapshot, however late that arrives, by the wall clock or the monotonic clock, whichever
    /// shows more.
    #[must_use]
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness;
        self
    }

    /// What to do then.
    #[must_use]
    pub fn when_stale(mut self, what: WhenStale) -> Self {
        self.when_stale = what;
        self
    }

    /// Keeps what is known in a file as well, so that a program which starts while the server is away verifies tokens at
    /// once, as long as the file is not older than [`max_staleness`](Self::max_staleness).
    ///
    /// A file that another user owns or can replace is not used, and a warning says so: its keys decide whose tokens are
    /// accepted.
    #[must_use]
    pub fn persist_to(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Fetches the keys and what is void, and begins to follow both.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the server cannot be asked, and no file knows enough either.
    pub async fn start(self) -> Result<LocalVerifier> {
        let Self { client, issuer, audience, max_staleness, when_stale, file } = self;
        let store = file.map(|file| Store::new(file, &issuer));
        let remembered = match &store {
            Some(store) => store.load().await,
            None => None,
        };
        let keys = Keys::new(client.clone(), issuer, audience);
        let shared = Arc::new(Shared {
            client,
            keys,
            memory: TokenCache::new(),
            set: RwLock::default(),
            clock: Clock::new(),
            freshness: Freshness::new(),
            max_staleness,
            when_stale,
        });
        let mut cursor = None;
        let mut knows_enough = false;
        if let Some(remembered) = remembered {
            shared.keys.install(&remembered.keys, remembered.longest_life)?;
            shared.apply(&remembered.revocations);
            shared.freshness.set(shared.clock.now().minus(remembered.age()));
            cursor = Some(remembered.cursor);
            knows_enough = shared.is_current() || when_stale == WhenStale::AskServer;
        }
        let mut follower = follow::Follower::new(shared.clone(), store, cursor);
        match follower.connect().await {
            Ok(()) => {}
            Err(error) if knows_enough => tracing::warn!(%error, "authy cannot be asked: going on with what is known"),
            Err(error) => return Err(error.into_authentication_error()),
        }
        let task = tokio::spawn(follower.run());
        Ok(LocalVerifier { shared, _running: Arc::new(Running(task.abort_handle())) })
    }
}

/// Verifies tokens without a request each. Cheap to clone; when the last clone is dropped it stops to follow.
#[derive(Clone)]
pub struct LocalVerifier {
    shared: Arc<Shared>,
    _running: Arc<Running>,
}

struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is known.
struct Shared {
    client: Client,
    keys: Keys,
    memory: TokenCache,
    set: RwLock<RevocationSet>,
    clock: Clock,
    // As of when everything that was void is known.
    freshness: Freshness,
    max_staleness: Duration,
    when_stale: WhenStale,
}

impl Shared {
    fn staleness(&self) -> Option<Duration> {
        self.freshness.age(self.clock.now())
    }

    fn is_current(&self) -> bool {
        self.staleness().is_some_and(|staleness| staleness <= self.max_staleness)
    }

    fn apply(&self, revocations: &[Revocation]) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        for revocation in revocations {
            set.insert(revocation);
        }
        set.forget_before(time::now());
    }

    fn revokes(&self, token: &Token) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).revokes(token)
    }

    fn remember(&self, cursor: Cursor) -> store::Remembered {
        let revocations = self.set.read().unwrap_or_else(PoisonError::into_inner).iter().collect();
        let age = self.staleness().unwrap_or(Duration::MAX);
        store::Remembered::new(self.keys.published(), self.keys.longest_life(), revocations, cursor, age)
    }
}

#[async_trait]
impl Authenticator for LocalVerifier {
    async fn authenticate(&self, token: &str) -> Result<Identity> {
        let shared = &*self.shared;
        let verified = match shared.keys.get_or_verify(&shared.memory, token) {
            Ok(verified) => verified,
            Err(refused) => Arc::new(shared.keys.verify_anew(token, refused).await?),
        };
        if !shared.is_current() {
            return match shared.when_stale {
                WhenStale::Refuse => {
                    Err(Error::new(ErrorKind::Unavailable, "authy has not been heard of for too long"))
                }
                WhenStale::AskServer => shared.client.authenticate(token).await,
            };
        }
        match shared.revokes(&verified) {
            true => Err(Error::new(ErrorKind::InvalidToken, "the token is no longer valid")),
            false => Ok(verified.identity.clone()),
        }
    }
}

impl LocalVerifier {
    /// Returns the age of what is known: the time since the last snapshot of the server that arrived here was taken. At most
    /// about a second while the connection works.
    pub fn staleness(&self) -> Option<Duration> {
        self.shared.staleness()
    }

    /// How often the server was asked for its keys, since the start.
    pub fn key_requests(&self) -> u64 {
        self.shared.keys.requests()
    }
}

impl fmt::Debug for LocalVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalVerifier").field("staleness", &self.staleness()).finish_non_exhaustive()
    }
}
