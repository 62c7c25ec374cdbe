//! Who is calling: what a good token says, and the one trait that finds it out.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{Level, Result, RoleName, SessionId, UserId, Username};

/// Who a good token belongs to, and what they may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The account.
    pub public_id: UserId,
    /// The account's name. Absent when it did not fit into a token of 1000 characters.
    pub username: Option<Username>,
    /// The smallest level among the account's roles: a smaller level is more power.
    pub level: Level,
    /// The names of the account's roles. Absent when they did not fit into a token of 1000 characters.
    pub roles: Option<Vec<RoleName>>,
    /// The account's epoch when the token was issued: a change of password, address or roles increases it, and from
    /// then on every write in the name of this identity is refused.
    pub ver: u64,
    /// The session that the token came from.
    pub session_id: SessionId,
    /// When the token stops being good.
    pub expires: DateTime<Utc>,
}

/// Finds out who a token belongs to.
///
/// There is an implementation for each way to use authy, so that code which needs callers checked can take any of them.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who this access token belongs to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidToken`](crate::ErrorKind::InvalidToken) when the token is bad,
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when we cannot tell: never a yes, and never confused
    /// with a no.
    async fn authenticate(&self, token: &str) -> Result<Identity>;
}
