//! Connections to the database: a pool for transactions, and a few shared connections for single-row reads.
//!
//! A frequent read uses a long-lived, pipelined connection with a prepared statement, which is two to three times
//! faster than a connection from a pool. A transaction never runs on a shared connection, because all others would wait
//! for it.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::{Connect, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_postgres::{
    Client, Row, Transaction,
    config::{Host, TargetSessionAttrs},
};

use crate::{
    Error, ErrorKind, Result,
    engine::storage::{
        connector::{ANSWER_TIMEOUT, Connector, Opened, ServerRole, bounded, bounded_by},
        fault,
        generation::{Generation, shows_demotion},
        pooler::Pooler,
        read_pool::{Prepared, ReadPool},
        session,
        statement::{Params, Statement},
        write_state::WriteState,
    },
    tls::Roots,
};

mod slow_read;

pub(in crate::engine::storage) use slow_read::{Condition, LaggingReads, SlowRead};

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
    writes: WriteState,
    lagging: Option<Box<dyn LaggingReads>>,
}

impl Db {
    /// Creates the connections to the primary that `config` describes; opens none of them. `connections` is the size of the pool.
    pub(in crate::engine) fn new(
        config: tokio_postgres::Config,
        connections: usize,
        pooler: Pooler,
        roots: &Roots,
    ) -> Result<Self> {
        Self::with(config, connections, pooler, ServerRole::Primary, roots)
    }

    /// Creates the connections to a standby: the first host that is one.
    pub(in crate::engine) fn standby(
        mut config: tokio_postgres::Config,
        connections: usize,
        pooler: Pooler,
        roots: &Roots,
    ) -> Result<Self> {
        // Whether a server is a standby is asked after the connection: `read-write` would refuse each of them.
        config.target_session_attrs(TargetSessionAttrs::Any);
        Self::with(config, connections, pooler, ServerRole::Standby, roots)
    }

    fn with(
        mut config: tokio_postgres::Config,
        connections: usize,
        pooler: Pooler,
        role: ServerRole,
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
        let connector = Arc::new(Connector::new(config, pooler, role, roots)?);
        let manager = Manager::from_connect(
            connector.config.clone(),
            PoolConnect(connector.clone()),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let generations = connector.generations().clone();
        let pool = Pool::builder(manager)
            .pre_recycle(Hook::sync_fn(move |_, metrics| match generations.is_present(metrics.created) {
                true => Ok(()),
                false => Err(HookError::message("it was opened before the primary changed")),
            }))
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(ANSWER_TIMEOUT))
            .create_timeout(Some(ANSWER_TIMEOUT))
            .recycle_timeout(Some(ANSWER_TIMEOUT))
            .build()
            .map_err(|cause| Error::with_source(ErrorKind::Internal, "the connection pool cannot be created", cause))?;
        let reads = ReadPool::new(connector.clone());
        Ok(Self { reads, connector, pool, written: watch::Sender::new(()), writes: WriteState::new(), lagging: None })
    }

    /// Adds a source of reads that may lag.
    pub(in crate::engine::storage) fn with_lagging_reads(mut self, source: impl LaggingReads) -> Self {
        self.lagging = Some(Box::new(source));
        self
    }

    /// Watches how far the source of reads that may lag is behind. Never returns, unless there is none.
    pub(in crate::engine) async fn follow_lagging_reads(&self) {
        if let Some(source) = &self.lagging {
            source.follow(self).await;
        }
    }

    /// Returns the hosts that connections are opened to.
    pub(in crate::engine) fn hosts(&self) -> &[Host] {
        self.connector.config.get_hosts()
    }

    /// Opens a dedicated connection, outside of the pool.
    pub(in crate::engine) async fn connect(&self) -> Result<Client> {
        self.open().await.map(|opened| opened.client)
    }

    /// Opens a dedicated connection, and returns what belongs to it.
    pub(in crate::engine) async fn open(&self) -> Result<Opened> {
        self.connector.connect().await
    }

    /// Opens a dedicated connection for reads.
    pub(in crate::engine) async fn connect_for_reads(&self) -> Result<Prepared> {
        Ok(Prepared::new(self.connector.connect().await?, self.connector.clone()))
    }

    /// Opens a dedicated connection that receives notifications on a channel. They may never arrive: behind a pooler in
    /// transaction mode, no connection listens.
    pub(in crate::engine) async fn listen(&self, channel: &'static str) -> Result<(Opened, Arc<Notify>)> {
        let heard = Arc::new(Notify::new());
        let opened = bounded(self.connector.open(heard.clone())).await?;
        if !self.shares_sessions() {
            bounded(opened.client.batch_execute(&format!("LISTEN {channel}"))).await?;
        }
        Ok((opened, heard))
    }

    /// Returns whether the next statement of a connection may run in another session, because of a pooler in transaction mode.
    pub(in crate::engine) fn shares_sessions(&self) -> bool {
        self.connector.sessions.are_shared()
    }

    /// Returns the rows of a statement that is planned each time it runs, on a dedicated connection.
    pub(in crate::engine) async fn read_unnamed(
        &self,
        client: &Client,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        match self.shares_sessions() {
            true => statement.run_alone(client, self.connector.access(), params, "").await,
            false => statement.run_unnamed(client, params).await,
        }
    }

    /// Sets for a transaction what its statements rely on, when its session does not have it.
    pub(in crate::engine) fn set_local(&self, transaction: &Transaction<'_>) {
        if self.shares_sessions() {
            session::set_local(transaction);
        }
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
        let written = self.try_write(statement, params).await;
        match &written {
            // A statement that returns no row may have had nothing to commit.
            Ok(row) if row.is_some() => self.writes.succeeded(),
            Ok(_) => {}
            Err(error) => self.writes.failed(error),
        }
        written
    }

    async fn try_write(&self, statement: &'static Statement, params: Params<'_>) -> Result<Option<Row>> {
        let generation = self.generation();
        let connection = self.connection().await?;
        let written = bounded_by(LOCK_TIMEOUT, async {
            if !self.shares_sessions() {
                let written = async {
                    if !self.connector.sessions.have_names() {
                        let rows = fault::around(statement.name, statement.run_unnamed(&connection, params)).await?;
                        return Ok(rows.into_iter().next());
                    }
                    let prepared = connection.prepare_typed_cached(statement.sql, statement.types).await?;
                    fault::around(statement.name, connection.query_opt(&prepared, params)).await
                };
                match written.await {
                    Err(error) if self.connector.sessions.are_lost(&error) => {}
                    done => return done,
                }
            }
            let rows = statement.run_alone(&connection, self.connector.access(), params, "").await?;
            Ok(rows.into_iter().next())
        });
        let written = written.await.inspect_err(|error| self.leave_if_demoted(generation, error));
        if written.as_ref().is_err_and(Error::is_unavailable) {
            // The connection may still be waiting for its answer: it must not be reused.
            drop(Object::take(connection));
        }
        written
    }

    /// Returns whether writes succeed, as they have shown.
    pub(in crate::engine) fn writes(&self) -> &WriteState {
        &self.writes
    }

    /// Returns the generation of the connections that are opened now.
    pub(in crate::engine) fn generation(&self) -> Generation {
        self.connector.generations().present()
    }

    /// Returns whether the connections of a generation are still in use.
    pub(in crate::engine) fn is_present(&self, generation: Generation) -> bool {
        self.generation() == generation
    }

    /// Closes every connection that is not in use for a transaction, and the others when their transaction has ended:
    /// they may lead to a server that is no longer the primary and still answers. New connections try the hosts again.
    pub(in crate::engine) fn leave_connections(&self) {
        self.leave(self.generation());
    }

    /// Does the same if an error of a connection of this generation shows that its server is no longer the primary.
    pub(in crate::engine) fn leave_if_demoted(&self, generation: Generation, error: &Error) {
        if shows_demotion(error) {
            self.leave(generation);
        }
    }

    /// Leaves the connections of this generation as [`leave_connections`](Self::leave_connections), and makes new ones begin with
    /// the next host.
    pub(in crate::engine) fn leave_host(&self, generation: Generation) {
        if self.is_present(generation) {
            self.connector.leave_host();
            self.leave(generation);
        }
    }

    fn leave(&self, generation: Generation) {
        let generations = self.connector.generations();
        generations.leave(generation);
        drop(self.pool.retain(|_, metrics| generations.is_present(metrics.created)));
    }

    /// Wakes the relay, because this instance wrote an event.
    pub(in crate::engine) fn wake_relay(&self) {
        self.written.send_replace(());
    }

    /// Returns a receiver that changes when this instance writes an event. Events of other instances do not change it.
    pub(in crate::engine) fn written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// Returns the rows of a fast read. It waits for no transaction: its connections are not those of the pool.
    pub(in crate::engine) async fn read(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        let shared = self.shares_sessions();
        let rows = self.reads.read(statement, params).await;
        // An error may have shown that connections have no session. The statement was not executed.
        match rows.is_err() && shared != self.shares_sessions() {
            true => self.reads.read(statement, params).await,
            false => rows,
        }
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
        self.0.open(Arc::default()).map_ok(|Opened { client, driving, .. }| (client, driving)).boxed()
    }
}
