//! The lock of a sink, and the connection that reads for it.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::{Client, Row};

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

/// Maximum time of a read: counting what a sink missed in a month takes a while.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The lock of a sink: held by a transaction on a connection of its own, so that it needs no session and goes with its holder.
/// Nothing is read in that transaction, which never ends: it would hold every table it had read, and no partition could be made
/// or dropped.
pub(super) struct SinkLock {
    lock: Client,
    reader: Prepared,
}

impl SinkLock {
    /// Waits until no other instance relays to the sink.
    pub(super) async fn take(db: &Db, sink: &str) -> Result<Self> {
        let lock = db.connect().await?;
        // It holds no snapshot, so it keeps nothing from being vacuumed. Should its host lose power, the database notices.
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 0;
                     SET LOCAL tcp_keepalives_idle = 2; SET LOCAL tcp_keepalives_interval = 1;
                     SET LOCAL tcp_keepalives_count = 3";
        bounded(lock.batch_execute(begin)).await?;
        let leads = async || -> Result<bool> {
            let rows = sql::LEAD.ask(&lock, READ_TIMEOUT, &[&sink]).await?;
            Ok(rows.first().is_some_and(|row| row.get("leads")))
        };
        while !leads().await? {
            sleep(TAKE_OVER_INTERVAL).await;
        }
        Ok(Self { lock, reader: Prepared::new(db.connect().await?) })
    }

    /// Reads over a connection of its own: a long backlog takes its time, and other reads do not wait behind it.
    pub(super) async fn read(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        self.reader.read(statement, READ_TIMEOUT, params).await
    }

    /// Reads along an index. Before the table has been analyzed, the planner would rather sort all that is waiting, and again
    /// for each page of it.
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

    /// Fails when another instance may relay to the sink by now.
    pub(super) fn holds(&self) -> Result<()> {
        match self.lock.is_closed() || self.reader.client.is_closed() {
            false => Ok(()),
            true => Err(Error::new(ErrorKind::Unavailable, "the lock of a sink is lost")),
        }
    }
}
