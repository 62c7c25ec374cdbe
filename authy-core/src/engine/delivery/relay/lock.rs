//! The lock of a sink, and the connection that reads for its holder.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use super::{TAKE_OVER_INTERVAL, sql};
use crate::{
    Error, ErrorKind, Result,
    engine::storage::{
        connector::bounded,
        db::Db,
        read_pool::Prepared,
        statement::{Params, Statement},
    },
};

/// Maximum time of a read: counting the events of a month takes a while.
const SINK_READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The class of the advisory locks of sinks. Other programs are unlikely to use it, and every version of this one must.
const RELAY_LOCK: i32 = 1_635_088_489;

/// The lock of a sink. A transaction on a separate connection holds it, so it needs no session and is released when its
/// holder fails. Nothing is read in that transaction: because it stays open, it would lock every table that it had
/// read, and no partition could be created or dropped.
pub(super) struct SinkLock {
    db: Arc<Db>,
    lock: Client,
    reader: Prepared,
}

impl SinkLock {
    /// Waits until no other instance relays to the sink.
    pub(super) async fn take(db: &Arc<Db>, sink: &str) -> Result<Self> {
        let lock = db.connect().await?;
        // The transaction holds no snapshot, so it does not delay vacuum. When the host of the lock holder loses power,
        // the database detects it.
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 0;
                     SET LOCAL tcp_keepalives_idle = 2; SET LOCAL tcp_keepalives_interval = 1;
                     SET LOCAL tcp_keepalives_count = 3";
        bounded(lock.batch_execute(begin)).await?;
        let number: i32 = db.read_one(&sql::LOCK_NUMBER, &[&sink]).await?.get("number");
        // By the simple protocol: a portal of the extended protocol keeps its snapshot until the next statement, which
        // would keep vacuum from removing any row for as long as the lock is held.
        let try_lock = format!("SELECT pg_try_advisory_xact_lock({RELAY_LOCK}, {number})");
        let leads = async || -> Result<bool> {
            let answered = bounded(lock.simple_query(&try_lock)).await?;
            Ok(answered
                .iter()
                .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))))
        };
        while !leads().await? {
            sleep(TAKE_OVER_INTERVAL).await;
        }
        Ok(Self { db: db.clone(), lock, reader: db.connect_prepared().await? })
    }

    /// Reads over a separate connection: reading a long backlog takes time, and other reads must not wait for it.
    pub(super) async fn read(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        self.reader.read(statement, SINK_READ_TIMEOUT, params).await
    }

    /// Reads along an index. Before the table has been analyzed, the planner would sort all waiting events again for
    /// each page.
    pub(super) async fn read_in_order(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        bounded(self.reader.client.batch_execute("BEGIN READ ONLY; SET LOCAL enable_sort = off")).await?;
        let rows = self.read(statement, params).await?;
        bounded(self.reader.client.batch_execute("COMMIT")).await?;
        Ok(rows)
    }

    pub(super) async fn read_one(&self, statement: &'static Statement, params: Params<'_>) -> Result<Row> {
        let row = self.read(statement, params).await?.into_iter().next();
        row.ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))
    }

    /// Returns an error when another instance may have taken the lock.
    pub(super) fn holds(&self) -> Result<()> {
        let is_open = !self.lock.is_closed() && !self.reader.client.is_closed();
        match is_open && self.db.is_present(self.reader.generation) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Unavailable, "another instance may hold the lock of the sink")),
        }
    }
}
