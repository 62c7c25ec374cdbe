//! What an operator decides about failed deliveries: to retry them, to give them up, and to dismiss those that were given up.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::sql;
use crate::{
    Error, ErrorKind, EventId, Result,
    api::event::EventKind,
    engine::{
        delivery::Deliveries,
        journal::{
            actor::Actor,
            caller::Caller,
            event::Event,
            write::{Tx, Written},
        },
        storage::statement::Statement,
    },
};

/// Maximum number of deliveries that are dismissed at once: each has an event, which takes a round trip.
const MAX_DISMISSED: i64 = 1000;

/// Maximum time for that.
const DISMISS_TIMEOUT: Duration = Duration::from_secs(20);

impl Deliveries {
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

    /// Dismisses a delivery that was given up: it is no longer listed and counted, and never made. With a sink whose status is
    /// shown with the users, its row stays for that, and it can still be [retried](Self::retry).
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn dismiss(&self, caller: &Caller, sink: &str, event: EventId) -> Result<()> {
        self.intervene(caller, &sql::DISMISS, EventKind::DeliveryDismissed, sink, event).await
    }

    /// Returns the time by the clock of the database, which stamps deliveries: for [`dismiss_all`](Self::dismiss_all).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn database_time(&self) -> Result<DateTime<Utc>> {
        Ok(self.journal.db.read_one(&sql::DATABASE_TIME, &[]).await?.get("now"))
    }

    /// Dismisses the deliveries to a sink that were given up until a time, by the [clock of the database](Self::database_time), as
    /// [`dismiss`](Self::dismiss) does: at most 1000, those of the oldest events. Returns how many.
    ///
    /// # Errors
    /// As [`retry`](Self::retry), but none when there is nothing to dismiss.
    pub async fn dismiss_all(&self, caller: &Caller, sink: &str, until: DateTime<Utc>) -> Result<u64> {
        let work = async |tx: &Tx<'_>| {
            let actor = tx.prove_full_power().await?;
            let rows = sql::DISMISS_ALL.rows(tx, &[&sink, &until, &MAX_DISMISSED]).await?;
            let events = rows.iter().map(|row| {
                let id = EventId::from(row.get::<_, Uuid>("event_id"));
                decision(EventKind::DeliveryDismissed, &actor, sink, id, row)
            });
            Ok(Written::with_events(rows.len() as u64, events.collect()))
        };
        self.journal.write_within(DISMISS_TIMEOUT, caller, work).await
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
                Ok(decision(kind, &actor, sink, id, &row))
            })
            .await
    }
}

/// Returns the event of a decision about a delivery, whose row has its subject.
fn decision(kind: EventKind, actor: &Actor, sink: &str, id: EventId, row: &Row) -> Event {
    let event = Event::new(kind, actor).detail(json!({ "sink": sink, "event_id": id }));
    match row.get::<_, Option<Uuid>>("subject") {
        Some(subject) => event.about(subject.into()),
        None => event,
    }
}
