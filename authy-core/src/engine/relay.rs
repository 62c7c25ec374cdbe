//! Hands events to the sinks: at least once, and in order per user.
//!
//! A sink's cursor is a snapshot of PostgreSQL's, and an event is new when the snapshot does not show it: so nobody who commits
//! late is skipped, nobody waits for a transaction that runs for long, and what was handed over is not read again. New events
//! are handed over in the order in which they happened: whoever changes a user holds the user's row while the event is written,
//! so that order is the order of the changes.
//!
//! One instance tells a sink at a time, under a lock that PostgreSQL takes from it when it dies.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::{sync::Notify, time::sleep};
use tokio_postgres::{Client, Row};

use super::{
    Authy, Sink, Undelivered,
    db::{Db, Params, bounded, db_error},
    event::Write,
    fault,
    lane::Prepared,
    sink::Pace,
    statements::Statement,
};
use crate::{Error, ErrorKind, Result};

mod cursor;
mod queue;
pub(super) mod sql;
mod stream;
mod stuck;

use cursor::Reader;
pub use stuck::{SinkStatus, Stuck};

/// How soon an instance takes over from one that has died.
const TAKE_OVER: Duration = Duration::from_secs(1);

/// How often the relay looks for new events, come what may: what this instance writes itself is told at once.
const POLL: Duration = Duration::from_millis(250);

/// How long reading may take: counting what a sink missed in a month takes a while.
const READING: Duration = Duration::from_secs(60);

/// How long a sink may take over one event before it is told again. Some take many seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(15 * 60);

impl Authy {
    /// Begins to tell a sink what happens from now on, or goes on where it was told last.
    pub(super) async fn prepare_relay(&self, sink: &dyn Sink) -> Result<()> {
        let here = self.db().read_one(&sql::IS_HERE, &[]).await?;
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        if !here.get::<_, bool>("here") {
            tracing::warn!("the database has moved into another cluster: what was not handed over is looked for anew");
            sql::BEGIN_EPOCH.rows(write.tx(), &[]).await?;
        }
        sql::CREATE_CURSOR.execute(write.tx(), &[&sink.name()]).await.map_err(db_error)?;
        write.commit_without_event().await
    }

    /// Tells a sink, for ever, whenever no other instance does.
    pub(super) async fn relay(self, sink: Arc<dyn Sink>) {
        loop {
            if let Err(error) = self.lead(&*sink).await {
                tracing::warn!(sink = sink.name(), %error, "cannot tell a sink: trying again");
            }
            sleep(TAKE_OVER).await;
        }
    }

    async fn lead(&self, sink: &dyn Sink) -> Result<()> {
        let lead = Lead::take(self.db(), sink.name()).await?;
        self.prepare_relay(sink).await?;
        tracing::info!(sink = sink.name(), "this instance tells the sink");
        let reader = Reader::load(self, &lead, sink).await?;
        match sink.pace() {
            Pace::Stream { in_flight } => stream::run(reader, &lead, sink, in_flight).await,
            Pace::Queue { in_flight } => {
                let queued = Notify::new();
                tokio::select! {
                    ended = queue::fill(reader, &queued) => ended,
                    ended = queue::work(self, &lead, sink, in_flight, &queued) => ended,
                }
            }
        }
    }
}

/// The lock of a sink: held by a transaction on a connection of its own, so that it needs no session and goes with its holder.
/// Nothing is read in that transaction, which never ends: it would hold every table it had read, and no month could be made or
/// dropped.
struct Lead {
    lock: Client,
    reader: Prepared,
}

impl Lead {
    /// Waits until nobody else tells the sink.
    async fn take(db: &Db, sink: &str) -> Result<Self> {
        let lock = db.connect().await?;
        // It holds no snapshot, so it keeps nobody from cleaning up. Should its host lose power, the database notices.
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 0;
                     SET LOCAL tcp_keepalives_idle = 2; SET LOCAL tcp_keepalives_interval = 1;
                     SET LOCAL tcp_keepalives_count = 3";
        bounded(lock.batch_execute(begin)).await?;
        let leads = async || -> Result<bool> {
            let rows = sql::LEAD.ask(&lock, READING, &[&sink]).await?;
            Ok(rows.first().is_some_and(|row| row.get("leads")))
        };
        while !leads().await? {
            sleep(TAKE_OVER).await;
        }
        Ok(Self { lock, reader: Prepared::new(db.connect().await?) })
    }

    /// Reads over a connection of its own: a long backlog takes its time, and nobody else's single rows wait behind it.
    async fn read(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        self.reader.read(statement, READING, params).await
    }

    /// Reads along an index. Where nobody has counted the rows yet, the planner would rather sort all that is waiting, and again
    /// for each page of it.
    async fn read_in_order(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        bounded(self.reader.client.batch_execute("BEGIN READ ONLY; SET LOCAL enable_sort = off")).await?;
        let rows = self.read(statement, params).await?;
        bounded(self.reader.client.batch_execute("COMMIT")).await?;
        Ok(rows)
    }

    async fn read_one(&self, statement: &'static Statement, params: Params<'_>) -> Result<Row> {
        let row = self.read(statement, params).await?.into_iter().next();
        row.ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))
    }

    /// Fails when somebody else may tell the sink by now.
    fn holds(&self) -> Result<()> {
        match self.lock.is_closed() || self.reader.client.is_closed() {
            false => Ok(()),
            true => Err(Error::new(ErrorKind::Unavailable, "the lock of a sink is lost")),
        }
    }
}

/// How long to wait after so many attempts in vain: twice as long each time, and jittered, so that many that failed at once do
/// not come back at once.
fn wait(attempts: usize) -> Duration {
    let waits = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(LONGEST)
        .with_jitter()
        .without_max_times();
    waits.build().nth(attempts.min(20)).unwrap_or(LONGEST).min(LONGEST)
}

/// Tells a sink of one event, within bounds.
async fn deliver(sink: &dyn Sink, event: &crate::api::event::EventView) -> Result<(), Undelivered> {
    fault::point("the delivery");
    match fault::around("deliver", tokio::time::timeout(PATIENCE, sink.deliver(event))).await {
        Ok(told) => told,
        Err(_) => Err(Undelivered::for_now("it did not answer in time")),
    }
}
