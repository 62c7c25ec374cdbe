//! What a change makes void, by the ids that only the engine knows.

use crate::{
    SessionId, UserId,
    revocation::{IdHash, VoidTokens},
};

/// Tokens that a change makes void.
#[derive(Clone, Debug)]
pub(in crate::engine) enum Void {
    /// Every token of a user whose epoch is older than this one.
    User { public_id: UserId, ver: u64 },
    /// Every token of a session.
    Session { session_id: SessionId },
    /// Every token that a key signed.
    Key { kid: String },
}

impl From<Void> for VoidTokens {
    fn from(void: Void) -> Self {
        match void {
            Void::User { public_id, ver } => Self::User { user: IdHash::of_user(public_id), ver },
            Void::Session { session_id } => Self::Session { session: IdHash::of_session(session_id) },
            Void::Key { kid } => Self::Key { kid },
        }
    }
}
