//! The identity of a caller, and the trait that determines it from a token.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{Level, Result, RoleName, SessionId, UserId, Username};

/// The user that a valid token belongs to, with its permissions.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The account.
    pub public_id: UserId,
    /// The account's name. `None` when it did not fit into a token of 1000 characters.
    pub username: Option<Username>,
    /// The smallest level of the account's roles. A smaller level is more powerful.
    pub level: Level,
    /// The names of the account's roles. `None` when they did not fit into a token of 1000 characters.
    pub roles: Option<Vec<RoleName>>,
    /// The account's epoch when the token was issued. A change of password, address or roles increases the account's
    /// epoch; from then on, every write with this identity is refused.
    pub ver: u64,
    /// The session that the token belongs to.
    pub session_id: SessionId,
    /// The expiry time of the token.
    pub expires: DateTime<Utc>,
}

/// Determines the identity that a token belongs to.
///
/// Each way to use authy implements it, so that code which authenticates callers works with all of them.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Returns the identity that an access token belongs to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidToken`](crate::ErrorKind::InvalidToken) when the token is not valid,
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when that cannot be determined.
    async fn authenticate(&self, token: &str) -> Result<Identity>;
}
