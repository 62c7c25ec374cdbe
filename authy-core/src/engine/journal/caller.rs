//! The caller of an operation and the client of the request. Every event records them.

use crate::{
    Access, ClientInfo, Error, ErrorKind, Identity, Level, Result, UserId,
    access::{ADMIN, is_within},
    engine::crypto::hasher::HashRequester,
};

/// The caller of an operation, and the client of the request.
///
/// ```
/// use authy_core::{Authenticator, Authy, ClientInfo, Result, engine::Caller};
///
/// # async fn callers(authy: &Authy, token: &str, client: ClientInfo) -> Result<()> {
/// // Anybody: signs up, logs in, resets a password.
/// let anonymous = Caller::anonymous(client.clone());
/// // A user: the power of its roles is proven in the transaction of each write.
/// let user = Caller::user(authy.authenticate(token).await?, client);
/// // The program itself, which may do everything: a job, a command, a start.
/// let operator = Caller::operator(ClientInfo::default());
/// # drop((anonymous, user, operator));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Caller {
    kind: CallerKind,
    client: ClientInfo,
}

#[derive(Clone, Debug)]
enum CallerKind {
    Anonymous,
    User(Identity),
    Operator,
}

impl Caller {
    /// Returns a caller without a token.
    pub fn anonymous(client: ClientInfo) -> Self {
        Self { kind: CallerKind::Anonymous, client }
    }

    /// Returns the caller with a verified token. Every write proves the caller again: it fails when the account, its
    /// session or the token has ended meanwhile, or when password, email address or roles have changed.
    pub fn user(identity: Identity, client: ClientInfo) -> Self {
        Self { kind: CallerKind::User(identity), client }
    }

    /// Returns the operator: the command line, or the program that embeds the crate. The operator may do everything.
    pub fn operator(client: ClientInfo) -> Self {
        Self { kind: CallerKind::Operator, client }
    }

    /// Returns the identity in the caller's token; `None` for an anonymous caller and for the operator.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.kind {
            CallerKind::User(identity) => Some(identity),
            CallerKind::Anonymous | CallerKind::Operator => None,
        }
    }

    /// Returns the client of the request.
    pub fn client_info(&self) -> &ClientInfo {
        &self.client
    }

    /// Returns the caller's account; `None` without a token.
    pub(in crate::engine) fn id(&self) -> Option<UserId> {
        self.identity().map(|identity| identity.public_id)
    }

    /// Returns the caller's identity.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] without a token.
    pub(in crate::engine) fn require_identity(&self) -> Result<&Identity> {
        self.identity().ok_or_else(token_required)
    }

    /// Returns the caller as a requester of hashes. A caller with a token is known.
    pub(in crate::engine) fn hash_requester(&self) -> HashRequester {
        HashRequester::new(self.client.ip, self.identity().is_some())
    }

    /// Returns the caller as a requester of hashes, on a device that logged in before.
    pub(in crate::engine) fn hash_requester_on_known_device(&self) -> HashRequester {
        HashRequester::new(self.client.ip, true)
    }

    pub(in crate::engine) fn is_operator(&self) -> bool {
        matches!(self.kind, CallerKind::Operator)
    }

    /// Checks with the token alone that the caller can act on an account of this level. Only an early check before
    /// expensive work: the transaction reads the current state.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`], [`ErrorKind::InsufficientLevel`], [`ErrorKind::BeyondYourLevel`].
    pub(in crate::engine) fn require_power_over(&self, level: Option<Level>) -> Result<()> {
        match &self.kind {
            CallerKind::Operator => Ok(()),
            CallerKind::Anonymous => Err(token_required()),
            CallerKind::User(identity) => {
                Access::Level(ADMIN).permit(identity, None)?;
                require_at_least(Some(identity.level), level)
            }
        }
    }
}

pub(in crate::engine) fn token_required() -> Error {
    Error::new(ErrorKind::TokenRequired, "a token is required")
}

/// Returns an error when `level` is more powerful than `own`.
pub(in crate::engine) fn require_at_least(own: Option<Level>, level: Option<Level>) -> Result<()> {
    match is_within(own, level) {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::BeyondYourLevel, "it is more powerful than your level")),
    }
}
