//! The access that an endpoint requires, and whether a caller has it.

use crate::{Error, ErrorKind, Identity, Level, Result, UserId};

/// The level of an administrator: users with this level or a smaller one may manage users and roles.
pub const ADMIN: u32 = 5;

/// Returns whether `level` is not more powerful than `own`. `None` is less powerful than any level.
pub(crate) fn is_within(own: Option<Level>, level: Option<Level>) -> bool {
    level.is_none_or(|level| own.is_some_and(|own| own.at_least(level)))
}

/// The access that an endpoint requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, without a token.
    Public,
    /// Any user with a valid token.
    Authenticated,
    /// Users with a valid token whose level is this or smaller (a smaller level is more power).
    Level(u32),
    /// Any user with a valid token for the caller's own account; for other accounts, users whose level is this or
    /// smaller.
    OwnOrLevel(u32),
}

impl Access {
    /// Returns whether a token has to be sent.
    pub fn needs_token(self) -> bool {
        self != Access::Public
    }

    /// Returns whether only administrators have it, even for requests about themselves.
    pub fn is_administrative(self) -> bool {
        matches!(self, Access::Level(level) if level <= ADMIN)
    }

    /// Permits or refuses the caller a request about `user`.
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
