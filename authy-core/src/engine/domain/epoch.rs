//! The epoch of a user: every change of password, address, roles or existence begins a new one, which revokes all older tokens.

use tokio_postgres::Transaction;

use crate::{
    Result, SessionId, UserId,
    api::event::EventKind,
    engine::{
        domain::code,
        journal::{
            actor::{Actor, no_such_user},
            event::Event,
            revocation::target::RevocationTarget,
        },
        storage::connector::db_error,
    },
};

pub(in crate::engine) mod sql;

/// What becomes of a user's sessions when the account changes. The access tokens are revoked in any case.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum SessionFate {
    /// They go on, with fresh access tokens.
    Kept,
    /// They end.
    Ended,
    /// They end, except this one.
    EndedExcept(SessionId),
}

/// Begins a new epoch of a user, whose row must be locked: revokes the older access tokens and all codes, and ends the sessions
/// as the fate says. Every change of an account goes through here. Returns the event, which has yet to be appended.
pub(in crate::engine) async fn apply_account_change(
    tx: &Transaction<'_>,
    actor: &Actor,
    user: UserId,
    kind: EventKind,
    fate: SessionFate,
) -> Result<Event> {
    code::revoke(tx, user, None).await?;
    let ended = match fate {
        SessionFate::Kept => Ok(0),
        SessionFate::Ended => sql::END_ALL.execute(tx, &[user.as_uuid()]).await,
        SessionFate::EndedExcept(own) => sql::END_OTHERS.execute(tx, &[user.as_uuid(), own.as_uuid()]).await,
    };
    ended.map_err(db_error)?;
    let row = sql::BEGIN_EPOCH.row(tx, &[user.as_uuid()]).await?.ok_or_else(no_such_user)?;
    let ver = row.get::<_, i64>("ver").unsigned_abs();
    Ok(Event::new(kind, actor).about(user).revoking([RevocationTarget::User { public_id: user, ver }]))
}
