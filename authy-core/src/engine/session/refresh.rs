//! Exchanging a refresh token for the next.
//!
//! A refresh token is a MAC over a counter, so that the successor of a token is computed and not stored: whoever presents
//! the same token again within the grace (an answer was lost, two tabs asked at once) gets the same successor. Later than
//! that, or an older token: somebody has a copy, and the session ends.

use super::*;

/// What a refresh token says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ticket {
    pub(super) session: SessionId,
    pub(super) generation: u64,
}

impl Authy {
    /// Exchanges a refresh token for fresh tokens.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRefreshToken`] when it is forged, spent, expired, or its session is over;
    /// [`ErrorKind::NoRole`] when there is nothing the account may do any more.
    pub async fn refresh(&self, caller: &Caller, request: RefreshToken) -> Result<Tokens> {
        // A forged one costs a MAC, and the database is not asked.
        let ticket = self.read_ticket(request.refresh_token.expose()).ok_or_else(invalid)?;
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let tx = write.tx();
        // Always the user first, then the session, as everybody who ends sessions does.
        let session = ticket.session.as_uuid();
        let user = sql::SHARE_USER.row(tx, &[session]).await?.ok_or_else(invalid)?;
        let config = self.config();
        let (idle, ttl) = (config.refresh_idle.as_secs_f64(), config.access_ttl.as_secs_f64());
        let generation = ticket.generation.cast_signed();
        let row = match sql::ROTATE.row(tx, &[session, &generation, &idle, &ttl]).await? {
            Some(row) => row,
            None => {
                let grace = config.refresh_grace.as_secs_f64();
                let row = sql::LOCK.row(tx, &[session, &idle, &grace]).await?.ok_or_else(invalid)?;
                let current = row.get::<_, i64>("generation").unsigned_abs();
                if !row.get::<_, bool>("live") || current <= ticket.generation {
                    return Err(invalid());
                }
                if current != ticket.generation + 1 || !row.get::<_, bool>("just_rotated") {
                    return self.end_replayed(write, caller, user::id(&row, "user_id"), ticket).await;
                }
                sql::PROLONG.execute(tx, &[session, &ttl]).await.map_err(db_error)?;
                row
            }
        };
        let account = Account::read(tx, &user).await?;
        let next = Ticket { session: ticket.session, generation: ticket.generation + 1 };
        let id = account.id;
        let tokens = self.mint(account, next, row.get("remaining"))?;
        let event = Event::new(EventKind::SessionRefreshed, caller).about(id).session(ticket.session);
        self.commit(write, event.detail(json!({ "generation": next.generation }))).await?;
        Ok(tokens)
    }

    /// Somebody has a copy of the token: which of the two is the thief, nobody can tell.
    async fn end_replayed(&self, write: Write<'_>, caller: &Caller, user: UserId, ticket: Ticket) -> Result<Tokens> {
        let Ticket { session, generation } = ticket;
        sql::END.rows(write.tx(), &[session.as_uuid(), user.as_uuid()]).await?;
        let event = Event::new(EventKind::SessionReplayed, caller).about(user).session(session);
        let event = event.detail(json!({ "generation": generation })).voiding(Void::Session { session_id: session });
        self.commit(write, event).await?;
        tracing::warn!(%session, "a spent refresh token was presented: its session is over");
        Err(invalid())
    }

    /// `session.generation.MAC`.
    pub(super) fn refresh_token(&self, Ticket { session, generation }: Ticket) -> Secret {
        let counter = format!("{session}.{generation}");
        Secret::new(format!("{counter}.{}", self.refresh_mac().sign(&counter)))
    }

    fn read_ticket(&self, token: &str) -> Option<Ticket> {
        let (counter, mac) = token.rsplit_once('.')?;
        let (session, generation) = counter.split_once('.')?;
        // One spelling only: what is not written as we write it was not written by us.
        let canonical = generation.parse::<u64>().ok().filter(|number| number.to_string() == generation)?;
        let ticket = Ticket { session: session.parse().ok()?, generation: canonical };
        self.refresh_mac().verifies(counter, mac).then_some(ticket)
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::InvalidRefreshToken, "the refresh token is not valid: log in again")
}
