//! Lists sessions and ends them. Ending a session revokes its tokens immediately.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Sessions, sql};
use crate::{
    Error, ErrorKind, Identity, Result, SessionId, UserId,
    api::{event::EventKind, session::SessionView},
    engine::{
        domain::epoch::{self, SessionEffect, apply_account_change},
        journal::{
            caller::{Caller, token_required},
            event::Event,
            revocation::target::RevocationTarget,
            write::{Tx, Written},
        },
        storage::row::user_id,
    },
    time::to_second,
};

impl Sessions {
    /// Returns the caller's sessions, most recently used first.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn list(&self, caller: &Identity) -> Result<Vec<SessionView>> {
        let mut sessions = self.list_of(caller.public_id).await?;
        for session in &mut sessions {
            session.current = session.session_id == caller.session_id;
        }
        Ok(sessions)
    }

    /// Returns the sessions of a user, most recently used first. None of them is current.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn list_of(&self, user: UserId) -> Result<Vec<SessionView>> {
        let idle = self.config.refresh_idle.as_secs_f64();
        let rows = self.db().read(&sql::LIST, &[user.as_uuid(), &idle]).await?;
        let time = |row: &Row, column| to_second(row.get(column));
        let view = |row: &Row| SessionView {
            session_id: row.get::<_, Uuid>("session_id").into(),
            created: time(row, "created"),
            last_used: time(row, "last_used"),
            expires: time(row, "expires"),
            ip: row.get("ip"),
            user_agent: row.get("user_agent"),
            current: false,
        };
        Ok(rows.iter().map(view).collect())
    }

    /// Returns the user of a session that has not ended.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn find_user(&self, session: SessionId) -> Result<Option<UserId>> {
        let row = self.db().read_opt(&sql::FIND_USER, &[session.as_uuid()]).await?;
        Ok(row.map(|row| user_id(&row, "user_id")))
    }

    /// Ends the session of the caller's token.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] without a token, [`ErrorKind::InvalidToken`] when the account has changed since the
    /// token was issued, [`ErrorKind::Unavailable`] when the database is not available. A session that has already
    /// ended is not an error.
    pub async fn logout(&self, caller: &Caller) -> Result<()> {
        let identity = caller.require_identity()?;
        match self.end(caller, identity.public_id, identity.session_id).await {
            Err(error) if error.kind() == ErrorKind::InvalidToken && self.has_ended(identity).await? => Ok(()),
            done => done,
        }
    }

    /// Returns whether the session of a token has ended, regardless of other changes.
    async fn has_ended(&self, identity: &Identity) -> Result<bool> {
        Ok(self.db().read_opt(&sql::IS_OPEN, &[identity.session_id.as_uuid()]).await?.is_none())
    }

    /// Ends a session of a user: the caller's own, or, for administrators and the operator, one of another user.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the user has no such session; [`ErrorKind::InvalidToken`],
    /// [`ErrorKind::InsufficientLevel`], [`ErrorKind::BeyondYourLevel`].
    pub async fn end(&self, caller: &Caller, user: UserId, session: SessionId) -> Result<()> {
        self.journal
            .write(caller, async |tx| {
                let (actor, subject) = tx.prove_on(user).await?;
                actor.require_own_or_power_over(&subject)?;
                let ended = sql::END.row(tx, &[session.as_uuid(), user.as_uuid()]).await?;
                ended.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such session"))?;
                let event = Event::new(EventKind::SessionEnded, &actor).about(user).session(session);
                Ok(event.revoking([RevocationTarget::Session { session_id: session }]))
            })
            .await
    }

    /// Ends all sessions of the caller except that of the token.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] without a token, [`ErrorKind::InvalidToken`], [`ErrorKind::Unavailable`] when the
    /// database is not available.
    pub async fn end_others(&self, caller: &Caller) -> Result<()> {
        self.journal
            .write(caller, async |tx| {
                let actor = tx.prove().await?;
                let (user, own) = actor.user().zip(actor.session()).ok_or_else(token_required)?;
                let ended = epoch::sql::END_OTHERS.rows(tx, &[user.as_uuid(), own.as_uuid()]).await?;
                if ended.is_empty() {
                    return Ok(Written::unchanged(()));
                }
                let target =
                    |row: &Row| RevocationTarget::Session { session_id: row.get::<_, Uuid>("session_id").into() };
                let event = Event::new(EventKind::SessionsEnded, &actor).about(user);
                Ok(event.revoking(ended.iter().map(target)).into())
            })
            .await
    }

    /// Ends all sessions of a user: the caller, or, for administrators and the operator, another user.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`], [`ErrorKind::InvalidToken`],
    /// [`ErrorKind::InsufficientLevel`], [`ErrorKind::BeyondYourLevel`].
    pub async fn end_all(&self, caller: &Caller, user: UserId) -> Result<()> {
        self.journal.write(caller, async |tx| end_all(tx, user).await).await
    }
}

pub(in crate::engine) async fn end_all(tx: &Tx<'_>, user: UserId) -> Result<Event> {
    let (actor, subject) = tx.prove_on(user).await?;
    actor.require_own_or_power_over(&subject.live()?)?;
    apply_account_change(tx, &actor, user, EventKind::SessionsEnded, SessionEffect::Ended).await
}
