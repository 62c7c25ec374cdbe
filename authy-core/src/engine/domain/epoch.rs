//! The epoch of a user. A change of password, email address or roles, and a deletion, begin a new epoch, which revokes
//! all older tokens.

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

/// The effect of a change of an account on its sessions. The access tokens are revoked in any case.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum SessionEffect {
    /// They continue, and can get new access tokens.
    Kept,
    /// They end.
    Ended,
    /// All except this one end.
    EndedExcept(SessionId),
}

/// Begins a new epoch of a user, whose row must be locked: revokes the older access tokens and all codes, and ends the
/// sessions according to `effect`. All changes of an account use it. Returns the event, which the caller has to append.
pub(in crate::engine) async fn apply_account_change(
    tx: &Transaction<'_>,
    actor: &Actor,
    user: UserId,
    kind: EventKind,
    effect: SessionEffect,
) -> Result<Event> {
    code::revoke(tx, user, None).await?;
    let ended = match effect {
        SessionEffect::Kept => Ok(0),
        SessionEffect::Ended => sql::END_ALL.execute(tx, &[user.as_uuid()]).await,
        SessionEffect::EndedExcept(own) => sql::END_OTHERS.execute(tx, &[user.as_uuid(), own.as_uuid()]).await,
    };
    ended.map_err(db_error)?;
    let row = sql::BEGIN_EPOCH.row(tx, &[user.as_uuid()]).await?.ok_or_else(no_such_user)?;
    let ver = row.get::<_, i64>("ver").unsigned_abs();
    Ok(Event::new(kind, actor).about(user).revoking([RevocationTarget::User { public_id: user, ver }]))
}
