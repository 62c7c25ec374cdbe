//! What is stuck, and what an operator does about it.

use std::time::SystemTime;

use serde_json::json;
use uuid::Uuid;

use super::sql;
use crate::{
    Error, ErrorKind, EventId, Result, Timestamp, UserId,
    api::event::EventKind,
    engine::{
        Authy, Caller,
        actor::Actor,
        event::{Event, Write},
        statements::Statement,
    },
};

/// An event that a sink has not taken.
#[derive(Clone, Debug)]
pub struct Stuck {
    /// Who has not taken it.
    pub sink: String,
    /// Which event.
    pub event_id: EventId,
    /// What happened, unless the event is gone already.
    pub kind: Option<String>,
    /// To whom.
    pub subject: Option<UserId>,
    /// Whether nobody tries any more.
    pub is_given_up: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_attempt: Timestamp,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// How a sink is.
#[derive(Clone, Debug)]
pub struct SinkStatus {
    /// Its name.
    pub sink: String,
    /// How many events it has not taken yet.
    pub waiting: u64,
    /// When the oldest of them happened.
    pub oldest: Option<Timestamp>,
    /// How many were tried in vain, one by one.
    pub stuck: u64,
    /// Why it takes nothing at present, when it is told everything as one stream.
    pub error: Option<String>,
}

impl Authy {
    /// The events that are stuck, oldest first, so many at most.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn list_stuck(&self, limit: u32) -> Result<Vec<Stuck>> {
        let rows = self.db().list(&sql::LIST_STUCK, &[&i64::from(limit)]).await?;
        let stuck = rows.iter().map(|row| Stuck {
            sink: row.get("sink"),
            event_id: row.get::<_, Uuid>("event_id").into(),
            kind: row.get("kind"),
            subject: row.get::<_, Option<Uuid>>("subject").map(UserId::from),
            is_given_up: row.get::<_, &str>("state") == "given_up",
            attempts: row.get::<_, i32>("attempts").unsigned_abs(),
            next_attempt: row.get::<_, SystemTime>("next_attempt").into(),
            error: row.get("error"),
        });
        Ok(stuck.collect())
    }

    /// How the sinks are that were ever told anything.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn list_sinks(&self) -> Result<Vec<SinkStatus>> {
        let rows = self.db().list(&sql::LIST_SINKS, &[]).await?;
        let status = rows.iter().map(|row| SinkStatus {
            sink: row.get("sink"),
            waiting: row.get::<_, i64>("waiting").unsigned_abs(),
            oldest: row.get::<_, Option<SystemTime>>("oldest").map(Timestamp::from),
            stuck: row.get::<_, i64>("stuck").unsigned_abs(),
            error: row.get("error"),
        });
        Ok(status.collect())
    }

    /// Has an event that is stuck, or was given up, tried again at once.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is not stuck; [`ErrorKind::BeyondYourLevel`] unless the caller may do everything.
    pub async fn retry_delivery(&self, caller: &Caller, sink: &str, event: EventId) -> Result<()> {
        self.intervene(&sql::RETRY, EventKind::DeliveryRetried, caller, sink, event).await
    }

    /// Gives up on an event that is stuck.
    ///
    /// # Errors
    /// As [`retry_delivery`](Self::retry_delivery).
    pub async fn skip_delivery(&self, caller: &Caller, sink: &str, event: EventId) -> Result<()> {
        self.intervene(&sql::SKIP, EventKind::DeliverySkipped, caller, sink, event).await
    }

    async fn intervene(
        &self,
        statement: &Statement,
        kind: EventKind,
        caller: &Caller,
        sink: &str,
        event: EventId,
    ) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let actor = Actor::prove(write.tx(), caller).await?;
        actor.require_full_power()?;
        let row = statement.row(write.tx(), &[&sink, event.as_uuid()]).await?;
        let row = row.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such event is stuck"))?;
        let mut told = Event::new(kind, &actor).detail(json!({ "sink": sink, "event_id": event }));
        if let Some(subject) = row.get::<_, Option<Uuid>>("subject") {
            told = told.about(subject.into());
        }
        self.commit(write, told).await
    }
}
