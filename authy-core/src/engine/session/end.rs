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
    /// [`ErrorKind::TokenRequired`] when the caller has none, [`ErrorKind::InvalidToken`] when the account has changed since,
    /// [`ErrorKind::Unavailable`] when the database is away. A session that has already ended is no error.
    pub async fn logout(&self, caller: &Caller) -> Result<()> {
        let identity = caller.identity().ok_or_else(token_required)?;
        match self.end_session(caller, identity.public_id, identity.session_id).await {
            Err(error) if error.kind() == ErrorKind::InvalidToken && self.has_ended(identity).await? => Ok(()),
            done => done,
        }
    }

    /// Whether the session of a token is over, whatever else changed.
    async fn has_ended(&self, identity: &Identity) -> Result<bool> {
        Ok(self.db().read_opt(&sql::IS_OPEN, &[identity.session_id.as_uuid()]).await?.is_none())
    }

    /// Ends a session of a user's: of one's own, or, for administrators and the operator, of somebody else's.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the user has no such session; [`ErrorKind::InvalidToken`],
    /// [`ErrorKind::InsufficientLevel`], [`ErrorKind::BeyondYourLevel`].
    pub async fn end_session(&self, caller: &Caller, user: UserId, session: SessionId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let (actor, subject) = Actor::prove_on(write.tx(), caller, user).await?;
        actor.require_own_or_power_over(&subject)?;
        sql::END
            .row(write.tx(), &[session.as_uuid(), user.as_uuid()])
            .await?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such session"))?;
        let event = Event::new(EventKind::SessionEnded, &actor).about(user).session(session);
        self.commit(write, event.voiding(Void::Session { session_id: session })).await
    }

    /// Ends all sessions of the caller's but the one the token came from.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] when the caller has none, [`ErrorKind::InvalidToken`], [`ErrorKind::Unavailable`] when the
    /// database is away.
    pub async fn end_other_sessions(&self, caller: &Caller) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let actor = Actor::prove(write.tx(), caller).await?;
        let (user, own) = actor.user().zip(actor.session()).ok_or_else(token_required)?;
        let ended = sql::END_OTHERS.rows(write.tx(), &[user.as_uuid(), own.as_uuid()]).await?;
        if ended.is_empty() {
            return Ok(());
        }
        let mut event = Event::new(EventKind::SessionsEnded, &actor).about(user);
        for row in ended {
            event = event.voiding(Void::Session { session_id: row.get::<_, Uuid>("session_id").into() });
        }
        self.commit(write, event).await
    }

    /// Ends all sessions of a user: one's own, or, for administrators and the operator, somebody else's.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`], [`ErrorKind::InvalidToken`],
    /// [`ErrorKind::InsufficientLevel`], [`ErrorKind::BeyondYourLevel`].
    pub async fn end_sessions(&self, caller: &Caller, user: UserId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = end_all(write.tx(), caller, user).await?;
        self.commit(write, event).await
    }

    /// [`end_sessions`](Self::end_sessions) in a transaction of the caller's.
    ///
    /// # Errors
    /// As [`end_sessions`](Self::end_sessions).
    pub async fn end_sessions_in(&self, tx: &Transaction<'_>, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        join(tx, end_all(tx, caller, user)).await
    }
}

async fn end_all<'a>(tx: &Transaction<'_>, caller: &'a Caller, user: UserId) -> Result<Event<'a>> {
    let (actor, subject) = Actor::prove_on(tx, caller, user).await?;
    actor.require_own_or_power_over(&subject.live()?)?;
    user::pass(tx, &actor, user, EventKind::SessionsEnded, Sessions::Ended).await
}

fn token_required() -> Error {
    Error::new(ErrorKind::TokenRequired, "this needs a token")
}
