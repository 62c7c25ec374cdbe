//! Exchanging a refresh token for the next.
//!
//! A refresh token is a MAC over a counter, so that the successor of a token is computed and not stored: the same token presented
//! again within the grace (a lost answer, two tabs at once) gets the same successor. After that, or with an older token, it has
//! been copied, and the session ends.

use serde_json::json;

use super::{Sessions, TokenSubject, sql};
use crate::{
    Error, ErrorKind, Result, Secret, SessionId,
    api::{
        event::EventKind,
        session::{RefreshToken, Tokens},
    },
    engine::{
        crypto::mac::MacKeys,
        journal::{
            actor::Actor,
            caller::Caller,
            event::{Columns, Event},
            revocation::target::RevocationTarget,
            write::{Tx, Written},
        },
        storage::{connector::db_error, statement::Params},
    },
};

/// The purpose of the MAC keys of refresh tokens.
pub(in crate::engine) const REFRESH_PURPOSE: &str = "authy refresh tokens";

/// The content of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::engine) struct Ticket {
    pub(in crate::engine) session: SessionId,
    pub(in crate::engine) generation: u64,
}

impl Ticket {
    /// Writes `session.generation.MAC`.
    pub(in crate::engine) fn write(self, keys: &MacKeys) -> Secret {
        let counter = format!("{}.{}", self.session, self.generation);
        Secret::new(format!("{counter}.{}", keys.sign(&counter)))
    }

    /// Reads what [`write`](Self::write) wrote; `None` for every other text.
    pub(in crate::engine) fn read(keys: &MacKeys, token: &str) -> Option<Self> {
        let (counter, mac) = token.rsplit_once('.')?;
        let (session, generation) = counter.split_once('.')?;
        // One spelling only: another one was not written by authy.
        let canonical = generation.parse::<u64>().ok().filter(|number| number.to_string() == generation)?;
        let ticket = Self { session: session.parse().ok()?, generation: canonical };
        keys.verifies(counter, mac).then_some(ticket)
    }

    /// Returns the next one.
    fn next(self) -> Self {
        Self { generation: self.generation + 1, ..self }
    }
}

impl Sessions {
    /// Exchanges a refresh token for fresh tokens.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRefreshToken`] when it is forged, spent or expired, or its session has ended; [`ErrorKind::NoRole`]
    /// when the account has no role any more.
    pub async fn refresh(&self, caller: &Caller, request: RefreshToken) -> Result<Tokens> {
        // A forged one costs a MAC, and no access to the database.
        let ticket = Ticket::read(&self.refresh_mac, request.refresh_token.expose()).ok_or_else(invalid)?;
        let (idle, ttl) = (self.config.refresh_idle.as_secs_f64(), self.config.access_ttl.as_secs_f64());
        let event = Event::new(EventKind::SessionRefreshed, &Actor::by_secret(caller));
        let Columns { event_id, kind, actor, actor_kind, ip, user_agent, request_id } = event.columns();
        let (session, generation) = (ticket.session.as_uuid(), ticket.generation.cast_signed());
        let params: Params<'_> =
            &[session, &generation, &idle, &ttl, &event_id, &kind, &actor, &actor_kind, &ip, &user_agent, &request_id];
        if let Some(row) = self.db().write(&sql::ROTATE, params).await? {
            return self.make_tokens(TokenSubject::of(&row)?, ticket.next(), row.get("remaining")).await;
        }
        // It is not the current one of a live session.
        let repeated = self.journal.write(caller, async |tx| self.refresh_spent(tx, ticket).await).await?;
        repeated.ok_or_else(|| {
            tracing::warn!(session = %ticket.session, "a spent refresh token was presented: its session has ended");
            invalid()
        })
    }

    /// Returns the successor of a token that was exchanged just now, once more; `None` when the token was copied, and its session
    /// has ended therefore.
    async fn refresh_spent(&self, tx: &Tx<'_>, ticket: Ticket) -> Result<Written<Option<Tokens>>> {
        let (idle, grace) = (self.config.refresh_idle.as_secs_f64(), self.config.refresh_grace.as_secs_f64());
        let ttl = self.config.access_ttl.as_secs_f64();
        // Always the user first, then the session, as everywhere that sessions end.
        let session = ticket.session.as_uuid();
        let user = sql::SHARE_USER.row(tx, &[session]).await?.ok_or_else(invalid)?;
        let row = sql::LOCK.row(tx, &[session, &idle, &grace]).await?.ok_or_else(invalid)?;
        let current = row.get::<_, i64>("generation").unsigned_abs();
        if !row.get::<_, bool>("live") {
            return Err(invalid());
        }
        let subject = TokenSubject::read(tx, &user).await?;
        if current <= ticket.generation {
            // It could not be exchanged and yet is the current one: the account has a role again, or the clock of the
            // database was set. Another attempt succeeds.
            return Err(Error::new(ErrorKind::Unavailable, "the session changed meanwhile"));
        }
        if current != ticket.generation + 1 || !row.get::<_, bool>("just_rotated") {
            // One of the two who have the token is a thief, and there is no telling which.
            let Ticket { session, generation } = ticket;
            sql::END.rows(tx, &[session.as_uuid(), subject.id.as_uuid()]).await?;
            let event = Event::new(EventKind::SessionReplayed, &tx.by_secret()).about(subject.id).session(session);
            let event = event.detail(json!({ "generation": generation }));
            return Ok(Written::new(None, event.revoking([RevocationTarget::Session { session_id: session }])));
        }
        sql::PROLONG.execute(tx, &[session, &ttl]).await.map_err(db_error)?;
        let tokens = self.make_tokens(subject, ticket.next(), row.get("remaining")).await?;
        // The exchange has its event already; that its answer is given once more changes nothing, and could be asked for a
        // thousand times.
        Ok(Written::without_event(Some(tokens)))
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::InvalidRefreshToken, "the refresh token is not valid: log in again")
}
