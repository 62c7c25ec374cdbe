//! The lease of a sink, and the connection that reads for its holder.
//!
//! The lease is an advisory lock in an open transaction, which PostgreSQL ends when the connection is closed, or when the
//! transaction is idle for [`LEASE_TIME`]. The holder sends a heartbeat in it. So an instance that was killed is replaced
//! at once, one that is frozen is replaced although its connection stays open, and the clock of the database decides.
//! Nothing is stored for a heartbeat, and a pooler in transaction mode keeps the connection for the transaction.
//!
//! A holder that was frozen may continue before it notices the loss. The cursor's `turn` is the fencing number: each
//! holder increments it first, and a write with an earlier one has no effect.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::time::sleep;
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use super::{TAKE_OVER_INTERVAL, sql};
use crate::{
    Error, ErrorKind, Result,
    engine::storage::{
        connector::{Opened, bounded, bounded_by},
        db::Db,
        generation::Generation,
        read_pool::Prepared,
        statement::{Params, Statement},
    },
};

mod clock;

use clock::BootTime;

/// Time without a heartbeat after which another instance takes over. Several heartbeats long, so that a busy machine does
/// not lose the lease; short enough that a mail with a code is not late.
const LEASE_TIME: Duration = Duration::from_secs(6);

/// Time after the last heartbeat for which its holder relies on the lease. Shorter than [`LEASE_TIME`], so that
/// a delivery that begins at its end has been sent before another instance takes over.
const RELIANCE_TIME: Duration = Duration::from_secs(5);

/// Interval of the heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum time of a read: counting the events of a month takes a while.
const SINK_READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The class of the advisory locks of sinks. Other programs are unlikely to use it, and every version of this one must:
/// version 0.1 holds the same lock, without a time limit, so it never relays at the same time.
const RELAY_LOCK: i32 = 1_635_088_489;

/// The lease of a sink. Dropped, it ends at once.
pub(super) struct Lease {
    /// The connection whose transaction holds the lock. No table is read in that transaction: because it stays open, it
    /// would lock every table that it had read, and no partition could be created or dropped.
    holder: Client,
    generation: Generation,
    db: Arc<Db>,
    reader: Prepared,
    /// When the last heartbeat that was answered was sent.
    confirmed: Mutex<BootTime>,
}

impl Lease {
    /// Waits until no other instance relays to the sink.
    pub(super) async fn take(db: &Arc<Db>, sink: &str) -> Result<Self> {
        let number: i32 = db.read_one(&sql::LOCK_NUMBER, &[&sink]).await?.get("number");
        let Opened { client: holder, generation, .. } = db.open().await?;
        // The transaction holds no snapshot between its statements, so it does not delay vacuum: it is READ COMMITTED, and
        // uses the simple protocol, because a portal of the extended protocol keeps its snapshot until the next statement.
        // `transaction_timeout` exists from PostgreSQL 17 on.
        let try_lock = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED;
             SET LOCAL idle_in_transaction_session_timeout = {};
             SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout';
             SELECT pg_try_advisory_xact_lock({RELAY_LOCK}, {number}) AS leads",
            LEASE_TIME.as_millis()
        );
        loop {
            if !db.is_present(generation) {
                return Err(ended());
            }
            let sent = BootTime::now();
            let answered = bounded(holder.simple_query(&try_lock)).await?;
            if answered.iter().any(is_taken) {
                let reader = db.connect_for_reads().await?;
                return Ok(Self { holder, generation, db: db.clone(), reader, confirmed: Mutex::new(sent) });
            }
            // Without a transaction, a pooler can lend the connection to others meanwhile.
            bounded(holder.batch_execute("ROLLBACK")).await?;
            sleep(TAKE_OVER_INTERVAL).await;
        }
    }

    /// Runs the holder's work and sends the heartbeats. Drops the work when the lease ends: what it was delivering is
    /// delivered again by the next holder.
    ///
    /// # Errors
    /// Those of the work; [`ErrorKind::Unavailable`] when another instance may have taken the lease.
    pub(super) async fn hold<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let (mut work, mut beating) = (pin!(work), pin!(self.send_heartbeats()));
        poll_fn(|context| {
            if let Poll::Ready(error) = beating.as_mut().poll(context) {
                return Poll::Ready(Err(error));
            }
            // The process may have been frozen since the last step of the work.
            match self.check() {
                Ok(()) => work.as_mut().poll(context),
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// Waits for ever when the lease may have ended: then [`hold`](Self::hold) drops the work.
    pub(super) async fn is_held(&self) {
        if self.check().is_err() {
            pending().await
        }
    }

    /// Returns the error after which the lease may have ended.
    async fn send_heartbeats(&self) -> Error {
        loop {
            sleep(HEARTBEAT_INTERVAL).await;
            let sent = BootTime::now();
            let left = RELIANCE_TIME.saturating_sub(self.confirmed().elapsed());
            if let Err(error) = bounded_by(left, self.holder.simple_query("SELECT 1")).await {
                return error;
            }
            *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = sent;
        }
    }

    fn confirmed(&self) -> BootTime {
        *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an error when another instance may have taken the lease.
    fn check(&self) -> Result<()> {
        let is_open = !self.holder.is_closed() && !self.reader.client.is_closed();
        // The holder and the reader may have been opened before and after a failover.
        let is_present = [self.generation, self.reader.generation].into_iter().all(|opened| self.db.is_present(opened));
        match is_open && is_present && self.confirmed().elapsed() < RELIANCE_TIME {
            true => Ok(()),
            false => Err(ended()),
        }
    }

    /// Reads over a separate connection: reading a long backlog takes time, and other reads must not wait for it.
    pub(super) async fn read(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        self.reader.read(statement, SINK_READ_TIMEOUT, params).await
    }

    /// Reads along an index. Before the table has been analyzed, the planner would sort all waiting events again for
    /// each page.
    pub(super) async fn read_in_order(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        self.reader.read_in_order(statement, SINK_READ_TIMEOUT, params).await
    }

    pub(super) async fn read_one(&self, statement: &'static Statement, params: Params<'_>) -> Result<Row> {
        let row = self.read(statement, params).await?.into_iter().next();
        row.ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the lease of the sink has ended: another instance may relay to it")
}

/// Whether an answer says that the lock was taken.
fn is_taken(message: &SimpleQueryMessage) -> bool {
    matches!(message, SimpleQueryMessage::Row(row) if row.try_get("leads").ok().flatten() == Some("t"))
}
