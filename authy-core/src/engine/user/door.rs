//! The one door that every change of an account goes through: of password, address, roles, of whether it exists at all.

use super::*;
use crate::{SessionId, engine::code};

/// What becomes of a user's sessions when the account changes. The access tokens are void in any case.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Sessions {
    /// They go on, with fresh access tokens.
    Kept,
    /// They end.
    Ended,
    /// They end, except this one.
    EndedBut(SessionId),
}

/// Begins a new epoch of a user's, who must be held: older access tokens are void, sessions end that must, and the codes that
/// were sent before are good for nothing. The event has yet to be written.
pub(in crate::engine) async fn pass<'a>(
    tx: &Transaction<'_>,
    actor: &Actor<'a>,
    user: UserId,
    kind: EventKind,
    sessions: Sessions,
) -> Result<Event<'a>> {
    code::void(tx, user, None).await?;
    let ended = match sessions {
        Sessions::Kept => Ok(0),
        Sessions::Ended => session::sql::END_ALL.execute(tx, &[user.as_uuid()]).await,
        Sessions::EndedBut(own) => session::sql::END_OTHERS.execute(tx, &[user.as_uuid(), own.as_uuid()]).await,
    };
    ended.map_err(db_error)?;
    Ok(Event::new(kind, actor).about(user).voiding(begin_epoch(tx, user).await?))
}
