//! Connections to the database: a pool for transactions, and a few shared connections for single-row reads.
//!
//! A frequent read uses a long-lived, pipelined connection with a prepared statement, which is two to three times
//! faster than a connection from a pool. A transaction never runs on a shared connection, because all others would wait
//! for it.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_postgres::{Client, Row};

use crate::{
    Error, ErrorKind, Result,
    engine::storage::{
        connector::{ANSWER_TIMEOUT, Connector, bounded, bounded_by},
        fault,
        read_pool::ReadPool,
        statement::{Params, Statement},
    },
    tls::Roots,
};

/// Maximum time that a write waits for a locked row. Shorter than a caller waits for an answer, so that a connection of
/// the pool is not held after the caller has gone.
pub(in crate::engine) const LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// The connections of the pool at one time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionStatistics {
    /// The number of connections that are open and not in use.
    pub idle: usize,
    /// The number of connections that are in use.
    pub in_use: usize,
    /// Maximum number of connections.
    pub max: usize,
    /// The number of callers that wait for a connection.
    pub waiting: usize,
}

/// The connections to one database.
pub(in crate::engine) struct Db {
    connector: Arc<Connector>,
    pool: Pool,
    reads: ReadPool,
    written: watch::Sender<()>,
}

impl Db {
    /// Creates the connections that `config` describes; opens none of them. `connections` is the size of the pool.
    pub(in crate::engine) fn new(
        mut config: tokio_postgres::Config,
        connections: usize,
        roots: &Roots,
    ) -> Result<Self> {
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(2));
        }
        if config.get_application_name().is_none() {
            config.application_name("authy");
        }
        // Detects a host that stopped responding, so that the next one of the list is tried.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(2 * ANSWER_TIMEOUT);
        }
        if config.get_keepalives_interval().is_none() && config.get_keepalives_retries().is_none() {
            config.keepalives_idle(ANSWER_TIMEOUT).keepalives_interval(Duration::from_secs(2)).keepalives_retries(3);
        }
        let connector = Arc::new(Connector::new(config, roots)?);
        let manager = Manager::from_connect(
            connector.config.clone(),
            PoolConnect(connector.clone()),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(connections.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(ANSWER_TIMEOUT))
            .create_timeout(Some(ANSWER_TIMEOUT))
            .recycle_timeout(Some(ANSWER_TIMEOUT))
            .build()
            .map_err(|cause| Error::with_source(ErrorKind::Internal, "the connection pool cannot be created", cause))?;
        Ok(Self { reads: ReadPool::new(connector.clone()), connector, pool, written: watch::Sender::new(()) })
    }

    /// Opens a dedicated connection, outside of the pool.
    pub(in crate::engine) async fn connect(&self) -> Result<Client> {
        self.connector.connect().await
    }

    /// Opens a dedicated connection that receives notifications on a channel. They may never arrive: for example, a
    /// pooler in between drops them.
    pub(in crate::engine) async fn listen(&self, channel: &'static str) -> Result<(Client, Arc<Notify>)> {
        let heard = Arc::new(Notify::new());
        let (client, _) = bounded(self.connector.open(heard.clone())).await?;
        bounded(client.batch_execute(&format!("LISTEN {channel}"))).await?;
        Ok((client, heard))
    }

    /// Returns the pool of connections for transactions.
    pub(in crate::engine) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Returns the state of the pool.
    pub(in crate::engine) fn statistics(&self) -> ConnectionStatistics {
        let status = self.pool.status();
        let in_use = status.size.saturating_sub(status.available);
        ConnectionStatistics { idle: status.available, in_use, max: status.max_size, waiting: status.waiting }
    }

    /// Returns a connection for a transaction.
    pub(in crate::engine) async fn connection(&self) -> Result<Object> {
        Ok(self.pool.get().await?)
    }

    /// Executes a single-statement write, and wakes the relay: for the event that the statement writes, or for what
    /// became due. Returns its row.
    pub(in crate::engine) async fn write(
        &self,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Option<Row>> {
        let written = self.write_quietly(statement, params).await;
        self.wake_relay();
        written
    }

    /// Executes a single-statement write; does not wake the relay. Returns its row.
    pub(in crate::engine) async fn write_quietly(
        &self,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Option<Row>> {
        let connection = self.connection().await?;
        let written = bounded_by(LOCK_TIMEOUT, async {
            let prepared = connection.prepare_typed_cached(statement.sql, statement.types).await?;
            fault::around(statement.name, connection.query_opt(&prepared, params)).await
        });
        let written = written.await;
        if written.as_ref().is_err_and(Error::is_unavailable) {
            // The connection may still be waiting for its answer: it must not be reused.
            drop(Object::take(connection));
        }
        written
    }

    /// Closes every connection that is not in use for a transaction: they may lead to a server that is no longer the
    /// primary and still answers. New connections try the hosts again.
    pub(in crate::engine) fn leave_connections(&self) {
        self.reads.leave_all();
        drop(self.pool.retain(|_, _| false));
    }

    /// Wakes the relay, because this instance wrote an event.
    pub(in crate::engine) fn wake_relay(&self) {
        self.written.send_replace(());
    }

    /// Returns a receiver that changes when this instance writes an event. Events of other instances do not change it.
    pub(in crate::engine) fn written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// Returns the rows of a read that may be slow. It runs on a dedicated connection, and the database aborts it when
    /// its caller has gone.
    pub(in crate::engine) async fn list(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        let mut connection = self.connection().await?;
        let tx = bounded(connection.build_transaction().read_only(true).start()).await?;
        let _ =
            tx.batch_execute(&format!("SET LOCAL statement_timeout = {}", ANSWER_TIMEOUT.as_millis())).now_or_never();
        let rows = statement.rows(&tx, params).await?;
        bounded(tx.commit()).await?;
        Ok(rows)
    }

    /// Returns the only row of a read that may be slow.
    pub(in crate::engine) async fn count(&self, statement: &'static Statement, params: Params<'_>) -> Result<Row> {
        only(self.list(statement, params).await?.into_iter().next())
    }

    /// Returns the rows of a fast read.
    pub(in crate::engine) async fn read(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        self.reads.read(statement, params).await
    }

    /// Returns the first row of a fast read.
    pub(in crate::engine) async fn read_opt(
        &self,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Option<Row>> {
        Ok(self.read(statement, params).await?.into_iter().next())
    }

    /// Returns the only row of a fast read.
    pub(in crate::engine) async fn read_one(&self, statement: &'static Statement, params: Params<'_>) -> Result<Row> {
        only(self.read_opt(statement, params).await?)
    }
}

fn only(row: Option<Row>) -> Result<Row> {
    row.ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))
}

/// Opens the pool's connections with the [`Connector`].
struct PoolConnect(Arc<Connector>);

impl Connect for PoolConnect {
    fn connect(
        &self,
        _: &tokio_postgres::Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        self.0.open(Arc::default()).boxed()
    }
}
