//! The relay: delivers events to the sinks, at least once and in order per user.
//!
//! A sink's cursor is a PostgreSQL snapshot. An event is new when the snapshot does not include its transaction. So a
//! transaction that commits late is not skipped, a long-running one does not delay others, and delivered events are not
//! read again. New events are delivered in the order in which they occurred: a change of a user locks the user's row
//! while the event is written, so that order is the order of the changes.
//!
//! One instance at a time relays to a sink, under a lease that PostgreSQL ends when the instance fails or is frozen.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::{sync::Notify, time::sleep};

use crate::{
    ClientInfo, Result,
    api::event::EventView,
    engine::{
        delivery::sink::{Delivery, DeliveryError, Sink},
        journal::{
            caller::Caller,
            write::{Journal, Written},
        },
        storage::{connector::db_error, fault},
    },
};

mod decide;
pub(in crate::engine) mod lag;
mod lease;
mod ordered;
mod per_subject;
mod reader;
pub(in crate::engine) mod sql;
pub(in crate::engine) mod stop;
pub(in crate::engine) mod stuck;

use lease::Lease;
use reader::Reader;
use stop::Stop;

/// Interval at which an instance tries to take over.
const TAKE_OVER_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum time between two polls for new events. Events of this instance are relayed immediately.
const EVENT_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Maximum time for a sink to accept one event before it is delivered again. Some sinks need many seconds.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// Maximum wait between two attempts.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(15 * 60);

/// Relays events to one sink.
pub(in crate::engine) struct Relay {
    journal: Arc<Journal>,
    sink: Arc<dyn Sink>,
    operator: Caller,
}

impl Relay {
    pub(in crate::engine) fn new(journal: Arc<Journal>, sink: Arc<dyn Sink>) -> Self {
        Self { journal, sink, operator: Caller::operator(ClientInfo::default()) }
    }

    /// Creates the sink's cursor, unless it exists: at the present position, or at the beginning in a database on which no
    /// background work has begun yet.
    pub(in crate::engine) async fn prepare(&self) -> Result<()> {
        let here = self.journal.db.read_one(&sql::IS_HERE, &[]).await?;
        self.journal
            .write(&self.operator, async |tx| {
                if !here.get::<_, bool>("here") {
                    tracing::warn!("the database has moved to another cluster: searching for undelivered events again");
                    sql::BEGIN_EPOCH.rows(tx, &[]).await?;
                }
                let (name, shows_status) = (self.sink.name(), self.sink.shows_status());
                sql::CREATE_CURSOR.execute(tx, &[&name, &shows_status]).await.map_err(db_error)?;
                Ok(Written::without_event(()))
            })
            .await
    }

    /// Relays whenever no other instance does. Returns when it is to stop, after the deliveries under way have been
    /// recorded.
    pub(in crate::engine) async fn run(&self, stop: &Stop) {
        while let Err(error) = self.lead(stop).await {
            tracing::warn!(sink = self.sink.name(), %error, "cannot relay to a sink: retrying");
            if stop.or(sleep(TAKE_OVER_INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    /// Returns without an error only when it is to stop.
    async fn lead(&self, stop: &Stop) -> Result<()> {
        let taken = stop.or(Lease::take(&self.journal.db, self.sink.name())).await;
        let Some(lease) = taken.transpose()? else { return Ok(()) };
        tracing::info!(sink = self.sink.name(), "this instance relays to the sink");
        lease.hold(self.relay(&lease, stop)).await
    }

    /// Relays as the holder of the lease.
    async fn relay(&self, lease: &Lease, stop: &Stop) -> Result<()> {
        self.prepare().await?;
        let reader = Reader::load(self, lease).await?;
        match self.sink.delivery() {
            Delivery::Ordered { in_flight } => ordered::run(reader, lease, &*self.sink, in_flight, stop).await,
            Delivery::PerSubject { in_flight } => {
                let queued = Notify::new();
                tokio::select! {
                    ended = per_subject::fill(reader, &queued) => ended,
                    ended = per_subject::work(&self.journal.db, lease, &*self.sink, in_flight, &queued, stop) => ended,
                }
            }
        }
    }
}

/// Returns the wait after a number of failed attempts. It doubles with each attempt, with jitter, so that events that
/// failed at the same time are not all retried at the same time.
fn retry_wait(attempts: usize) -> Duration {
    let waits = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(MAX_RETRY_WAIT)
        .with_jitter()
        .without_max_times();
    waits.build().nth(attempts.min(20)).unwrap_or(MAX_RETRY_WAIT).min(MAX_RETRY_WAIT)
}

/// Delivers one event to a sink, with a time limit, while the lease is held.
async fn deliver(lease: &Lease, sink: &dyn Sink, event: &EventView) -> Result<(), DeliveryError> {
    lease.is_held().await;
    fault::point("the delivery");
    match fault::around("deliver", tokio::time::timeout(DELIVERY_TIMEOUT, sink.deliver(event))).await {
        Ok(delivered) => delivered,
        Err(_) => Err(DeliveryError::retryable("it did not answer in time")),
    }
}
