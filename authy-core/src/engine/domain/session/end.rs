//! Lists sessions and ends them. Ending a session revokes its tokens immediately.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Sessions, sql};
use crate::{
    Error, ErrorKind, Identity, Result, SessionId, UserId,
    api::{event::EventKind, session::SessionView},
    engine::{
        domain::{
            code,
            epoch::{self, SessionEffect, apply_account_change},
        },
        journal::{
            actor::Actor,
            caller::{Caller, token_required},
            event::Event,
            revocation::{self, target::RevocationTarget},
            write::{Tx, Written},
        },
        storage::{
            connector::db_error,
            count::{BoundedCount, MAX_COUNTED},
            row::user_id,
        },
    },
    time::{now, to_second},
};

/// Maximum time of a statement about all users.
pub(in crate::engine) const EVERYONE_TIMEOUT: Duration = Duration::from_secs(3600);

/// What [`Sessions::end_everyone`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllSessionsEnded {
    /// The number of sessions that ended.
    pub sessions: u64,
    /// The number of users whose access tokens were revoked: all users, including deleted ones.
    pub users: u64,
    /// The number of one-time codes that were revoked: confirmations, resets and invitations.
    pub codes: u64,
}

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

    /// Returns the number of sessions of all users that have not ended. Among 10,000 that have not expired, so that it takes
    /// milliseconds.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn count_live(&self) -> Result<BoundedCount> {
        let idle = self.config.refresh_idle.as_secs_f64();
        let row = self.db().count_lagging(&sql::COUNT_LIVE, &[&idle, &(MAX_COUNTED + 1)]).await?;
        Ok(BoundedCount::new(row.get("live"), row.get("examined")))
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
    /// ended is not an error, and the tokens of one that the database has lost are revoked.
    pub async fn logout(&self, caller: &Caller) -> Result<()> {
        let identity = caller.require_identity()?;
        let refused = match self.end(caller, identity.public_id, identity.session_id).await {
            Err(error) if error.kind() == ErrorKind::InvalidToken => error,
            done => return done,
        };
        let session = identity.session_id;
        match self.db().read_opt(&sql::HAS_ENDED, &[session.as_uuid()]).await?.map(|row| row.get("has_ended")) {
            Some(true) => Ok(()),
            // It changed in another way than by its end.
            Some(false) => Err(refused),
            None => self.end_lost(caller, identity).await,
        }
    }

    /// Ends a session that the database has lost, because it has gone back to an earlier time: revokes its tokens, which
    /// are valid everywhere.
    async fn end_lost(&self, caller: &Caller, identity: &Identity) -> Result<()> {
        let Identity { public_id, session_id, .. } = *identity;
        // The session may have newer tokens than the one that is presented.
        let expires = identity.expires.max(now() + self.config.access_ttl);
        self.journal
            .write(caller, async |tx| {
                let event = Event::new(EventKind::SessionEnded, &tx.by_secret()).about(public_id).session(session_id);
                let event = event.detail(json!({ "reason": "lost_history" }));
                Ok(event.revoking([RevocationTarget::LostSession { session_id, expires }]))
            })
            .await?;
        self.journal.feed.history.report_loss("a token is of an unknown session");
        Ok(())
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

    /// Ends all sessions of all users, and revokes all access tokens and one-time codes that the database knows, for the
    /// operator only. They are refused everywhere within a second. Logins and refreshes wait meanwhile: a second or two
    /// per 100,000 users.
    ///
    /// After a restore to an earlier time, [`Authy::recover`](crate::Authy::recover) also revokes what the database does
    /// not know.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller is the operator; [`ErrorKind::Unavailable`] when a transaction
    /// under way takes more than three seconds, or the database is not available.
    pub async fn end_everyone(&self, caller: &Caller) -> Result<AllSessionsEnded> {
        let ended = self.journal.write_within(EVERYONE_TIMEOUT, caller, async |tx| {
            let actor = tx.operator()?;
            let (ended, event) = end_everyone(tx, &actor).await?;
            Ok(Written::new(ended, event))
        });
        let ended = ended.await?;
        self.journal.feed.notify_others();
        Ok(ended)
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

/// Does what the end of all sessions of a user does, for all users.
pub(in crate::engine) async fn end_everyone(tx: &Tx<'_>, actor: &Actor) -> Result<(AllSessionsEnded, Event)> {
    tx.batch_execute(epoch::sql::LOCK_EVERYONE).await.map_err(db_error)?;
    let ended = AllSessionsEnded {
        sessions: epoch::sql::END_EVERYONE.execute(tx, &[]).await.map_err(db_error)?,
        users: epoch::sql::BEGIN_ALL_EPOCHS.execute(tx, &[]).await.map_err(db_error)?,
        codes: code::sql::REVOKE_ALL.execute(tx, &[]).await.map_err(db_error)?,
    };
    // Not returned, to be applied here at once: they may be many, and the next poll finds them.
    revocation::sql::REVOKE_ALL_USERS.execute(tx, &[]).await.map_err(db_error)?;
    let detail = json!({ "users": ended.users, "sessions": ended.sessions });
    Ok((ended, Event::new(EventKind::AllSessionsEnded, actor).detail(detail)))
}

pub(in crate::engine) async fn end_all(tx: &Tx<'_>, user: UserId) -> Result<Event> {
    let (actor, subject) = tx.prove_on(user).await?;
    actor.require_own_or_power_over(&subject.live()?)?;
    apply_account_change(tx, &actor, user, EventKind::SessionsEnded, SessionEffect::Ended).await
}
