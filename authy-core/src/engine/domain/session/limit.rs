//! The maximum number of sessions per user, so that repeated logins do not fill the table.

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

/// Maximum number of live sessions per user. No user has as many devices; but a program that logs in for every request
/// does, and its unused sessions would stay for two weeks.
pub(super) const MAX_SESSIONS_PER_USER: i64 = 100;

/// Ends the sessions of a user beyond the maximum, least recently used first.
///
/// Called after a login that reached the maximum, in a separate transaction, so that the login stays one statement.
/// Until then, concurrent logins can exceed the maximum by their number, which is at most four per account on each
/// instance.
pub(super) async fn end_oldest(journal: &Journal, caller: &Caller, user: UserId) -> Result<()> {
    journal
        .write(caller, async |tx| {
            // Always locks the user first, then the sessions. A concurrent transaction waits here, and then sees the
            // changes.
            lock_live(tx, user).await?;
            let ended = sql::END_OLDEST.rows(tx, &[user.as_uuid(), &MAX_SESSIONS_PER_USER]).await?;
            let ended = ended.iter().map(|row| {
                let session_id = SessionId::from(row.get::<_, Uuid>("session_id"));
                let event = Event::new(EventKind::SessionEnded, &tx.by_secret()).about(user).session(session_id);
                event.detail(json!({ "reason": "too_many" })).revoking([RevocationTarget::Session { session_id }])
            });
            Ok(Written::with_events((), ended.collect()))
        })
        .await
}
