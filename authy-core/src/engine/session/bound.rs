//! The maximum number of sessions of one user, so that repeated logins do not fill the table.

use serde_json::json;
use uuid::Uuid;

use super::sql;
use crate::{
    Result, SessionId, UserId,
    api::event::EventKind,
    engine::{
        Authy, Caller,
        actor::{Actor, lock_live},
        event::{Event, Write},
        feed::Void,
    },
};

/// Maximum number of live sessions of one user. Nobody has so many devices; a program that logs in for every request does, and
/// its forgotten sessions would otherwise live for two weeks.
pub(super) const SESSIONS: i64 = 100;

impl Authy {
    /// Ends the sessions of a user beyond the bound, those that were unused for longest first.
    ///
    /// Called after a login that found the bound reached, in a transaction of its own: the login stays one statement. Logins at
    /// the same time exceed the bound until then, by as many as are under way at once for one account, which is four on each
    /// instance.
    pub(super) async fn bound_sessions(&self, caller: &Caller, user: UserId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        // Always the user first, then the sessions. It also has everybody who does the same wait, and then see what was done.
        lock_live(write.tx(), user).await?;
        let ended = sql::END_OLDEST.rows(write.tx(), &[user.as_uuid(), &SESSIONS]).await?;
        let mut ended = ended.iter().map(|row| {
            let session = SessionId::from(row.get::<_, Uuid>("session_id"));
            let event = Event::new(EventKind::SessionEnded, &Actor::by_secret(caller)).about(user).session(session);
            event.detail(json!({ "reason": "too_many" })).voiding(Void::Session { session_id: session })
        });
        let Some(first) = ended.next() else { return Ok(()) };
        let mut revoked = Vec::new();
        for event in ended {
            revoked.extend(event.append(write.tx()).await?);
        }
        self.commit(write, first).await?;
        self.announce(&revoked);
        Ok(())
    }
}
