//! The identity of a caller, and the trait that determines it from a token.

use std::{future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{
    Access, Level, Result, RoleName, SessionId, UserId, Username,
    access::{ADMIN, is_within},
};

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

impl Identity {
    /// Returns whether the user is as powerful as this level, or more powerful.
    pub fn at_least(&self, level: Level) -> bool {
        self.level.at_least(level)
    }

    /// Returns whether the user may act on accounts and roles of this level: an administrator, who is at least as powerful.
    /// `None` is the level of an account without roles.
    ///
    /// This is what the token says, for a user interface. The engine proves it in the transaction of each write.
    pub fn can_act_on(&self, level: Option<Level>) -> bool {
        Access::Level(ADMIN).permit(self, None).is_ok() && is_within(Some(self.level), level)
    }

    /// Returns whether the user has a role. False for every role when the token was too short for the roles: then
    /// [`roles`](Self::roles) is `None`, and only the level is known.
    pub fn has_role(&self, role: &RoleName) -> bool {
        self.roles.as_ref().is_some_and(|roles| roles.contains(role))
    }
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

/// An [`Authenticator`] behind a pointer is one, too. Written without `async`, which would box the future twice.
macro_rules! behind {
    ($($pointer:ty),+) => { $(
        impl<T: Authenticator + ?Sized> Authenticator for $pointer {
            fn authenticate<'this, 'token, 'call>(
                &'this self,
                token: &'token str,
            ) -> Pin<Box<dyn Future<Output = Result<Identity>> + Send + 'call>>
            where
                'this: 'call,
                'token: 'call,
                Self: 'call,
            {
                (**self).authenticate(token)
            }
        }
    )+ };
}

behind! { &T, Box<T>, Arc<T> }
