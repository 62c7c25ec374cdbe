//! Exchanging a refresh token for the next.
//!
//! A refresh token is a MAC over a counter, so that the successor of a token is computed and not stored: whoever presents
//! the same token again within the grace (an answer was lost, two tabs asked at once) gets the same successor. Later than
//! that, or an older token: somebody has a copy, and the session ends.

use super::*;
use crate::engine::master::MacKeys;

/// What a refresh token says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::engine) struct Ticket {
    pub(in crate::engine) session: SessionId,
    pub(in crate::engine) generation: u64,
}

impl Ticket {
    /// Writes it: `session.generation.MAC`.
    pub(in crate::engine) fn write(self, keys: &MacKeys) -> Secret {
        let counter = format!("{}.{}", self.session, self.generation);
        Secret::new(format!("{counter}.{}", keys.sign(&counter)))
    }

    /// Reads what [`write`](Self::write) wrote; `None` for everything else.
    pub(in crate::engine) fn read(keys: &MacKeys, token: &str) -> Option<Self> {
        let (counter, mac) = token.rsplit_once('.')?;
        let (session, generation) = counter.split_once('.')?;
        // One spelling only: what is not written as we write it was not written by us.
        let canonical = generation.parse::<u64>().ok().filter(|number| number.to_string() == generation)?;
        let ticket = Self { session: session.parse().ok()?, generation: canonical };
        keys.verifies(counter, mac).then_some(ticket)
    }

    /// The one after it.
    fn next(self) -> Self {
        Self { generation: self.generation + 1, ..self }
    }
}

impl Authy {
    /// Exchanges a refresh token for fresh tokens.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRefreshToken`] when it is forged, spent, expired, or its session is over;
    /// [`ErrorKind::NoRole`] when there is nothing the account may do any more.
    pub async fn refresh(&self, caller: &Caller, request: RefreshToken) -> Result<Tokens> {
        // A forged one costs a MAC, and the database is not asked.
        let ticket = Ticket::read(self.refresh_mac(), request.refresh_token.expose()).ok_or_else(invalid)?;
        let config = self.config();
        let (idle, ttl) = (config.refresh_idle.as_secs_f64(), config.access_ttl.as_secs_f64());
        let Columns { event_id, kind, actor, origin, ip, user_agent, request_id } =
            Event::new(EventKind::SessionRefreshed, &Actor::by_secret(caller)).columns();
        let (session, generation) = (ticket.session.as_uuid(), ticket.generation.cast_signed());
        let params: Params<'_> =
            &[session, &generation, &idle, &ttl, &event_id, &kind, &actor, &origin, &ip, &user_agent, &request_id];
        match self.db().write(&sql::ROTATE, params).await? {
            Some(row) => self.mint(Account::of(&row)?, ticket.next(), row.get("remaining")).await,
            // It is not the current one of a live session: then what is it?
            None => self.refresh_spent(caller, ticket).await,
        }
    }

    /// The successor of a token that was exchanged just now, once more.
    async fn refresh_spent(&self, caller: &Caller, ticket: Ticket) -> Result<Tokens> {
        let config = self.config();
        let (idle, grace) = (config.refresh_idle.as_secs_f64(), config.refresh_grace.as_secs_f64());
        let ttl = config.access_ttl.as_secs_f64();
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let tx = write.tx();
        // Always the user first, then the session, as everybody who ends sessions does.
        let session = ticket.session.as_uuid();
        let user = sql::SHARE_USER.row(tx, &[session]).await?.ok_or_else(invalid)?;
        let row = sql::LOCK.row(tx, &[session, &idle, &grace]).await?.ok_or_else(invalid)?;
        let current = row.get::<_, i64>("generation").unsigned_abs();
        if !row.get::<_, bool>("live") {
            return Err(invalid());
        }
        let account = Account::read(tx, &user).await?;
        if current <= ticket.generation {
            // It could not be exchanged and yet is the current one: the account has a role again, or the clock of the
            // database was set. Whoever tries once more succeeds.
            return Err(Error::new(ErrorKind::Unavailable, "the session changed meanwhile"));
        }
        if current != ticket.generation + 1 || !row.get::<_, bool>("just_rotated") {
            return self.end_replayed(write, caller, account.id, ticket).await;
        }
        sql::PROLONG.execute(tx, &[session, &ttl]).await.map_err(db_error)?;
        let tokens = self.mint(account, ticket.next(), row.get("remaining")).await?;
        // The exchange was told already; that its answer is given once more changes nothing, and could be asked for a thousand
        // times.
        write.commit_without_event().await?;
        Ok(tokens)
    }

    /// Somebody has a copy of the token: which of the two is the thief, nobody can tell.
    async fn end_replayed(&self, write: Write<'_>, caller: &Caller, user: UserId, ticket: Ticket) -> Result<Tokens> {
        let Ticket { session, generation } = ticket;
        sql::END.rows(write.tx(), &[session.as_uuid(), user.as_uuid()]).await?;
        let event = Event::new(EventKind::SessionReplayed, &Actor::by_secret(caller)).about(user).session(session);
        let event = event.detail(json!({ "generation": generation })).voiding(Void::Session { session_id: session });
        self.commit(write, event).await?;
        tracing::warn!(%session, "a spent refresh token was presented: its session is over");
        Err(invalid())
    }

    /// The token of a ticket.
    pub(super) fn refresh_token(&self, ticket: Ticket) -> Secret {
        ticket.write(self.refresh_mac())
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::InvalidRefreshToken, "the refresh token is not valid: log in again")
}
