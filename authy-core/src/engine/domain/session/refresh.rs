//! The exchange of refresh tokens.
//!
//! A refresh token is a MAC of a counter, so the next token is computed and not stored. The same token returns the same
//! next token again within the grace period (after a lost response, or from two browser tabs). After that, or with an
//! older token, it must have been copied, and the session ends.

use std::{sync::atomic::Ordering, time::Duration};

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
    time::unix_now,
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

    /// Parses a token of [`write`](Self::write); `None` for every other text.
    pub(in crate::engine) fn read(keys: &MacKeys, token: &str) -> Option<Self> {
        let (counter, mac) = token.rsplit_once('.')?;
        let (session, generation) = counter.split_once('.')?;
        // Only the canonical form, because authy writes no other.
        let canonical = generation.parse::<u64>().ok().filter(|number| number.to_string() == generation)?;
        let ticket = Self { session: session.parse().ok()?, generation: canonical };
        keys.verifies(counter, mac).then_some(ticket)
    }

    /// Returns the next ticket.
    fn next(self) -> Self {
        Self { generation: self.generation + 1, ..self }
    }
}

/// What a refresh token is that is not the current one of a live session.
enum Presented {
    /// Exchanged a moment ago, with the same result.
    Repeated(Box<Tokens>),
    /// Copied: two parties have it.
    Spent,
    /// Newer than the session, because the database has gone back in time.
    Lost,
}

impl Sessions {
    /// Exchanges a refresh token for new tokens.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRefreshToken`] when it is forged, reused or expired, or its session has ended;
    /// [`ErrorKind::NoRole`] when the account no longer has a role; [`ErrorKind::Unavailable`] when the database is not
    /// available, or its clock and this machine's differ by more than 30 seconds.
    pub async fn refresh(&self, caller: &Caller, request: RefreshToken) -> Result<Tokens> {
        self.counts.refreshes.count(self.exchange(caller, request).await)
    }

    async fn exchange(&self, caller: &Caller, request: RefreshToken) -> Result<Tokens> {
        // Before the exchange: a token that is exchanged and cannot be signed would be taken for a copy later.
        self.journal.feed.require_right_clock()?;
        // A forged token costs one MAC and no query.
        let ticket = Ticket::read(&self.refresh_mac, request.refresh_token.expose()).ok_or_else(invalid)?;
        let (idle, ttl) = (self.config.refresh_idle.as_secs_f64(), self.config.access_ttl.as_secs_f64());
        let event = Event::new(EventKind::SessionRefreshed, &Actor::by_secret(caller));
        let Columns { event_id, kind, actor, actor_kind, ip, user_agent, request_id } = event.columns();
        let (session, generation) = (ticket.session.as_uuid(), ticket.generation.cast_signed());
        let params: Params<'_> =
            &[session, &generation, &idle, &ttl, &event_id, &kind, &actor, &actor_kind, &ip, &user_agent, &request_id];
        let now = unix_now();
        if let Some(row) = self.db().write(&sql::ROTATE, params).await? {
            self.journal.feed.history.note_commit(event_id);
            return self.make_tokens(TokenSubject::of(&row)?, ticket.next(), row.get("remaining"), now).await;
        }
        // The token is not the current one of a live session.
        match self.journal.write(caller, async |tx| self.refresh_other(tx, ticket, now).await).await? {
            Presented::Repeated(tokens) => return Ok(*tokens),
            Presented::Spent => {
                self.counts.replays.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(session = %ticket.session, "a spent refresh token was presented: its session has ended");
            }
            Presented::Lost => {
                let (session, generation) = (ticket.session, ticket.generation);
                tracing::warn!(%session, generation, "the database does not know a refresh token yet that it issued");
                self.journal.feed.history.report_loss("a refresh token is newer than its session");
            }
        }
        Err(invalid())
    }

    /// Returns the next token of a recently exchanged token again, or ends the session.
    async fn refresh_other(&self, tx: &Tx<'_>, ticket: Ticket, now: u64) -> Result<Written<Presented>> {
        let (idle, grace) = (self.config.refresh_idle.as_secs_f64(), self.config.refresh_grace.as_secs_f64());
        let ttl = self.config.access_ttl.as_secs_f64();
        // Always locks the user first, then the session, as all code that ends sessions.
        let session = ticket.session.as_uuid();
        let user = sql::SHARE_USER.row(tx, &[session]).await?.ok_or_else(invalid)?;
        let row = sql::LOCK.row(tx, &[session, &idle, &grace]).await?.ok_or_else(invalid)?;
        let current = row.get::<_, i64>("generation").unsigned_abs();
        if !row.get::<_, bool>("live") {
            return Err(invalid());
        }
        let subject = TokenSubject::read(tx, &user).await?;
        let Ticket { session: id, generation } = ticket;
        if current == generation {
            // The token is current and yet was refused: the account has got a role again, or the clock of the database
            // was set. A retry succeeds.
            return Err(Error::new(ErrorKind::Unavailable, "the session has changed meanwhile: retry")
                .with_retry_after(Duration::from_secs(1)));
        }
        if current < generation {
            // Only the database issues tokens, so it has lost an exchange, and a spent token is the current one again.
            // To adopt the newer token would leave the session to a thief of the older one who comes first.
            sql::END.rows(tx, &[id.as_uuid(), subject.id.as_uuid()]).await?;
            let event = Event::new(EventKind::SessionEnded, &tx.by_secret()).about(subject.id).session(id);
            let event = event.detail(json!({ "reason": "lost_history" }));
            let event = event.revoking([RevocationTarget::Session { session_id: id }]);
            return Ok(Written::new(Presented::Lost, event));
        }
        if current != ticket.generation + 1 || !row.get::<_, bool>("just_rotated") {
            // Two parties have the token, and which of them is the thief is unknown.
            sql::END.rows(tx, &[id.as_uuid(), subject.id.as_uuid()]).await?;
            let event = Event::new(EventKind::SessionReplayed, &tx.by_secret()).about(subject.id).session(id);
            let event = event.detail(json!({ "generation": generation }));
            return Ok(Written::new(Presented::Spent, event.revoking([RevocationTarget::Session { session_id: id }])));
        }
        sql::PROLONG.execute(tx, &[session, &ttl]).await.map_err(db_error)?;
        let tokens = self.make_tokens(subject, ticket.next(), row.get("remaining"), now).await?;
        // The exchange has its event. Returning its result again changes nothing, and could be requested any number of
        // times.
        Ok(Written::without_event(Presented::Repeated(Box::new(tokens))))
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::InvalidRefreshToken, "the refresh token is not valid: log in again")
}
