//! Who may call: the access an endpoint asks for, and whether a caller has it.

use crate::{Error, ErrorKind, Identity, Level, Result, UserId};

/// The level of an administrator: whoever has this level or a smaller one may manage users and roles.
pub const ADMIN: u32 = 5;

/// The access an endpoint asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a token.
    Public,
    /// Anybody with a good token.
    Authenticated,
    /// Anybody with a good token whose level is this or smaller (a smaller level is more power).
    Level(u32),
    /// Anybody with a good token for the caller's own account, and for that of somebody else whose level is this or smaller.
    OwnOrLevel(u32),
}

impl Access {
    /// Whether a token has to be sent.
    pub fn needs_token(self) -> bool {
        self != Access::Public
    }

    /// Permits the caller what is about this user, or says why not.
    ///
    /// # Errors
    /// [`ErrorKind::InsufficientLevel`] when the caller is not powerful enough.
    pub fn permit(self, caller: &Identity, user: Option<UserId>) -> Result<()> {
        match self {
            Access::OwnOrLevel(_) if user == Some(caller.public_id) => Ok(()),
            Access::Level(level) | Access::OwnOrLevel(level) if !caller.level.at_least(Level::clamped(level)) => {
                Err(Error::new(ErrorKind::InsufficientLevel, "your roles do not permit this"))
            }
            _ => Ok(()),
        }
    }
}
