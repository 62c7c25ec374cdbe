//! Looking at sessions, and ending them: their tokens are void at once.

use super::*;
use crate::engine::user::Sessions;

impl Authy {
    /// The caller's sessions, the one used last first.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn list_sessions(&self, caller: &Identity) -> Result<Vec<SessionView>> {
        let idle = self.config().refresh_idle.as_secs_f64();
        let rows = self.db().read(&sql::LIST, &[caller.public_id.as_uuid(), &idle]).await?;
        let time = |row: &Row, column| Timestamp::from(row.get::<_, SystemTime>(column));
        let view = |row: &Row| {
            let session_id = SessionId::from(row.get::<_, Uuid>("session_id"));
            SessionView {
                session_id,
                created: time(row, "created"),
                last_used: time(row, "last_used"),
                expires: time(row, "expires"),
                ip: row.get("ip"),
                user_agent: row.get("user_agent"),
                current: session_id == caller.session_id,
            }
        };
        Ok(rows.iter().map(view).collect())
    }

    /// Ends the session that the caller's token came from.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away. That the session is over already is none.
    pub async fn logout(&self, caller: &Caller, identity: &Identity) -> Result<()> {
        match self.end_session(caller, identity.public_id, identity.session_id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Ends a session of a user's.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the user has no such session.
    pub async fn end_session(&self, caller: &Caller, user: UserId, session: SessionId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        sql::END
            .row(write.tx(), &[session.as_uuid(), user.as_uuid()])
            .await?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such session"))?;
        let event = Event::new(EventKind::SessionEnded, caller).about(user).session(session);
        self.commit(write, event.voiding(Void::Session { session_id: session })).await
    }

    /// Ends all sessions of the caller's but the one the token came from.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn end_other_sessions(&self, caller: &Caller, identity: &Identity) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let (user, own) = (identity.public_id, identity.session_id);
        let ended = sql::END_OTHERS.rows(write.tx(), &[user.as_uuid(), own.as_uuid()]).await?;
        if ended.is_empty() {
            return Ok(());
        }
        let mut event = Event::new(EventKind::SessionsEnded, caller).about(user);
        for row in ended {
            event = event.voiding(Void::Session { session_id: row.get::<_, Uuid>("session_id").into() });
        }
        self.commit(write, event).await
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`], [`ErrorKind::BeyondYourLevel`].
    pub async fn end_sessions(&self, caller: &Caller, user: UserId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = end_all(write.tx(), caller, user).await?;
        self.commit(write, event).await
    }

    /// [`end_sessions`](Self::end_sessions) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn end_sessions_in(&self, tx: &Transaction<'_>, caller: &Caller, user: UserId) -> Result<()> {
        end_all(tx, caller, user).await?.append(tx).await.map(drop)
    }
}

async fn end_all<'a>(tx: &Transaction<'_>, caller: &'a Caller, user: UserId) -> Result<Event<'a>> {
    let subject = user::lock_live(tx, user).await?;
    if caller.id() != Some(user) {
        caller.reach(subject.level)?;
    }
    user::pass(tx, caller, user, EventKind::SessionsEnded, Sessions::Ended).await
}
