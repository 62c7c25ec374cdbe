//! Failed deliveries, and the operations for them.

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::sql;
use crate::{
    Error, ErrorKind, EventId, Result, UserId,
    api::event::EventKind,
    engine::{
        delivery::Deliveries,
        journal::{caller::Caller, event::Event},
        storage::statement::Statement,
    },
    time::to_second,
};

/// An event that a sink has not accepted.
#[derive(Clone, Debug)]
pub struct StuckDelivery {
    /// The name of the sink.
    pub sink: String,
    /// The event.
    pub event_id: EventId,
    /// The time of the event.
    pub happened: DateTime<Utc>,
    /// The kind of the event; `None` when the event has already been deleted.
    pub kind: Option<String>,
    /// The user that the event is about.
    pub subject: Option<UserId>,
    /// Whether the delivery was given up.
    pub is_given_up: bool,
    /// The number of attempts.
    pub attempts: u32,
    /// The time of the next attempt.
    pub next_attempt: DateTime<Utc>,
    /// The reason why the last attempt failed.
    pub error: Option<String>,
}

impl StuckDelivery {
    fn of(row: &Row) -> Self {
        Self {
            sink: row.get("sink"),
            event_id: row.get::<_, Uuid>("event_id").into(),
            happened: to_second(row.get("happened")),
            kind: row.get("kind"),
            subject: row.get::<_, Option<Uuid>>("subject").map(UserId::from),
            is_given_up: row.get::<_, &str>("state") == "given_up",
            attempts: row.get::<_, i32>("attempts").unsigned_abs(),
            next_attempt: to_second(row.get("next_attempt")),
            error: row.get("error"),
        }
    }
}

/// The state of a sink.
#[derive(Clone, Debug)]
pub struct SinkStatus {
    /// The name of the sink.
    pub sink: String,
    /// The number of events that it has not accepted yet.
    pub waiting: u64,
    /// The time of the oldest of them.
    pub oldest: Option<DateTime<Utc>>,
    /// The number of events whose delivery failed, with [`Delivery::PerSubject`](crate::engine::Delivery::PerSubject).
    pub stuck: u64,
    /// The reason why it accepts nothing at present, with [`Delivery::Ordered`](crate::engine::Delivery::Ordered).
    pub error: Option<String>,
}

impl Deliveries {
    /// Returns up to `limit` failed deliveries, oldest event first.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn list_stuck(&self, limit: u32) -> Result<Vec<StuckDelivery>> {
        let rows = self.journal.db.list(&sql::LIST_STUCK, &[&i64::from(limit)]).await?;
        Ok(rows.iter().map(StuckDelivery::of).collect())
    }

    /// Returns a delivery that is not made yet, failed or not.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn find_stuck(&self, sink: &str, event: EventId) -> Result<Option<StuckDelivery>> {
        let row = self.journal.db.read_opt(&sql::FIND_STUCK, &[&sink, event.as_uuid()]).await?;
        Ok(row.as_ref().map(StuckDelivery::of))
    }

    /// Returns the state of every sink that was ever started.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn list_sinks(&self) -> Result<Vec<SinkStatus>> {
        let rows = self.journal.db.list(&sql::LIST_SINKS, &[]).await?;
        let status = rows.iter().map(|row| SinkStatus {
            sink: row.get("sink"),
            waiting: row.get::<_, i64>("waiting").unsigned_abs(),
            oldest: row.get::<_, Option<DateTime<Utc>>>("oldest").map(to_second),
            stuck: row.get::<_, i64>("stuck").unsigned_abs(),
            error: row.get("error"),
        });
        Ok(status.collect())
    }

    /// Retries a delivery immediately that failed or was given up.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such delivery; [`ErrorKind::BeyondYourLevel`] unless the caller has
    /// full power.
    pub async fn retry(&self, caller: &Caller, sink: &str, event: EventId) -> Result<()> {
        self.intervene(caller, &sql::RETRY, EventKind::DeliveryRetried, sink, event).await
    }

    /// Gives up the delivery of an event.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn skip(&self, caller: &Caller, sink: &str, event: EventId) -> Result<()> {
        self.intervene(caller, &sql::SKIP, EventKind::DeliverySkipped, sink, event).await
    }

    async fn intervene(
        &self,
        caller: &Caller,
        statement: &Statement,
        kind: EventKind,
        sink: &str,
        id: EventId,
    ) -> Result<()> {
        self.journal
            .write(caller, async |tx| {
                let actor = tx.prove_full_power().await?;
                let row = statement.row(tx, &[&sink, id.as_uuid()]).await?;
                let row = row.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such event is stuck"))?;
                let event = Event::new(kind, &actor).detail(json!({ "sink": sink, "event_id": id }));
                Ok(match row.get::<_, Option<Uuid>>("subject") {
                    Some(subject) => event.about(subject.into()),
                    None => event,
                })
            })
            .await
    }
}
