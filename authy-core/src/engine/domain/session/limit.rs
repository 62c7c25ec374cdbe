//! The maximum number of sessions of one user, so that repeated logins do not fill the table.

use serde_json::json;
use uuid::Uuid;

use super::sql;
use crate::{
    Result, SessionId, UserId,
    api::event::EventKind,
    engine::journal::{
        actor::lock_live,
        caller::Caller,
        event::Event,
        revocation::target::RevocationTarget,
        write::{Journal, Written},
    },
};

/// Maximum number of live sessions of one user. Nobody has so many devices; a program that logs in for every request does, and
/// its forgotten sessions would otherwise live for two weeks.
pub(super) const SESSIONS: i64 = 100;

/// Ends the sessions of a user beyond the maximum, those that were unused for longest first.
///
/// Called after a login that found the maximum reached, in a transaction of its own: the login stays one statement. Concurrent
/// logins exceed the maximum until then, by as many as are under way at once for one account, which is four on each instance.
pub(super) async fn end_oldest(journal: &Journal, caller: &Caller, user: UserId) -> Result<()> {
    journal
        .write(caller, async |tx| {
            // Always the user first, then the sessions. Another transaction that does the same waits here, and then sees what
            // was done.
            lock_live(tx, user).await?;
            let ended = sql::END_OLDEST.rows(tx, &[user.as_uuid(), &SESSIONS]).await?;
            let ended = ended.iter().map(|row| {
                let session_id = SessionId::from(row.get::<_, Uuid>("session_id"));
                let event = Event::new(EventKind::SessionEnded, &tx.by_secret()).about(user).session(session_id);
                event.detail(json!({ "reason": "too_many" })).revoking([RevocationTarget::Session { session_id }])
            });
            Ok(Written::with_events((), ended.collect()))
        })
        .await
}
