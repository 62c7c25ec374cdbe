//! The way to PostgreSQL: a pool for transactions, and a few shared connections for single-row reads.
//!
//! A hot read goes over a long-lived, pipelined connection with a prepared statement, which is two to three times quicker
//! than taking a connection from a pool. A transaction never runs on a shared connection: all others would wait for it.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    time::Duration,
};

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{
    AsyncMessage, Client, Connection, NoTls, Row,
    config::{Host, SslMode},
    error::SqlState,
    types::ToSql,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{fault, lane::Lanes, statements::Statement};
use crate::{
    Error, ErrorKind, Result,
    encryption::{self, Encryption, Link, PlainTextRefused},
    tls::Roots,
};

/// How long anything waits for a connection or an answer. Long enough for a failover's first seconds to show as a wait,
/// short enough that a caller hears "unavailable" before it gives up by itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a write waits for a row that somebody else holds: less than a caller waits for an answer, so that a connection of
/// the pool is not held for nobody.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// What every connection relies on, whatever the defaults of the database or its role are: a write of one statement has no
/// transaction around it that could say so.
const SESSION: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE";

/// The parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

const LINK: Link = Link {
    carries: "passwords, addresses and password hashes",
    encrypted: "sslmode=require or sslmode=verify-full (both verify the server's certificate)",
    declined: "sslmode=disable (in a program: `Builder::dangerous_allow_plain_text`)",
};

/// Refuses a database on another machine unless its connections are encrypted, or `sslmode=disable` says that they are not.
///
/// # Errors
/// When `sslmode` was left out or is `prefer`, and one of the hosts is another machine.
pub fn check_encryption(database: &tokio_postgres::Config) -> Result<(), PlainTextRefused> {
    let encryption = match database.get_ssl_mode() {
        SslMode::Disable => Encryption::Declined,
        // What the server does not offer is not used, and nobody hears of it.
        SslMode::Prefer => Encryption::Unspecified,
        _ => Encryption::Required,
    };
    // Where both are given, connections go to the address, and the name is for certificates only.
    let addresses: Vec<_> = database.get_hostaddrs().iter().map(ToString::to_string).collect();
    let hosts = database.get_hosts().iter().skip(addresses.len()).map(|host| match host {
        Host::Tcp(host) => host.as_str(),
        Host::Unix(_) => "/",
    });
    encryption::check(LINK, encryption, addresses.iter().map(String::as_str).chain(hosts))
}

/// Connections to one database.
pub(super) struct Db {
    connector: Arc<Connector>,
    pool: Pool,
    lanes: Lanes,
    written: watch::Sender<()>,
}

impl Db {
    /// Connections as `config` describes; none is opened yet. `connections` is the size of the pool.
    pub(super) fn new(mut config: tokio_postgres::Config, connections: usize, roots: &Roots) -> Result<Self> {
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(2));
        }
        if config.get_application_name().is_none() {
            config.application_name("authy");
        }
        // A host that vanished without a word is noticed, and the next one of the list is asked.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(2 * PATIENCE);
        }
        if config.get_keepalives_interval().is_none() && config.get_keepalives_retries().is_none() {
            config.keepalives_idle(PATIENCE).keepalives_interval(Duration::from_secs(2)).keepalives_retries(3);
        }
        let connector = Arc::new(Connector::new(config, roots)?);
        let manager = Manager::from_connect(
            connector.config.clone(),
            Dial(connector.clone()),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(connections.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .build()
            .map_err(|cause| Error::with_source(ErrorKind::Internal, "the connection pool cannot be made", cause))?;
        Ok(Self { lanes: Lanes::new(connector.clone()), connector, pool, written: watch::Sender::new(()) })
    }

    /// A connection of one's own, outside the pool.
    pub(super) async fn connect(&self) -> Result<Client> {
        self.connector.connect().await
    }

    /// A connection of one's own that hears of notifications on a channel. They may never come: a pooler in between, say,
    /// loses them.
    pub(super) async fn listen(&self, channel: &'static str) -> Result<(Client, Arc<Notify>)> {
        let heard = Arc::new(Notify::new());
        let (client, _) = bounded(self.connector.open(heard.clone())).await?;
        bounded(client.batch_execute(&format!("LISTEN {channel}"))).await?;
        Ok((client, heard))
    }

    /// A connection for a transaction.
    pub(super) async fn connection(&self) -> Result<Object> {
        self.pool.get().await.map_err(|cause| match cause {
            PoolError::Backend(cause) => db_error(cause),
            cause => Error::with_source(ErrorKind::Unavailable, "no database connection is free", cause)
                .retry_after(Duration::from_secs(1)),
        })
    }

    /// Runs a write that is one statement, its event included, and so needs no transaction around it; the row it returns.
    pub(super) async fn write(&self, statement: &'static Statement, params: Params<'_>) -> Result<Option<Row>> {
        let written = self.note(statement, params).await;
        self.tell_written();
        written
    }

    /// Runs a write that is one statement and tells of nothing, as a rule; the row it returns.
    pub(super) async fn note(&self, statement: &'static Statement, params: Params<'_>) -> Result<Option<Row>> {
        let connection = self.connection().await?;
        let written = bounded_by(LOCK_PATIENCE, async {
            let prepared = connection.prepare_typed_cached(statement.sql, statement.types).await?;
            fault::around(statement.name, connection.query_opt(&prepared, params)).await
        });
        let written = written.await;
        if written.as_ref().is_err_and(Error::is_unavailable) {
            // It may still be waiting for its answer: nobody else should wait behind it.
            drop(Object::take(connection));
        }
        written
    }

    /// Leaves every connection that is open and not in use for a transaction: they may lead to a server that is not the primary
    /// any more and yet answers. The next one asks the hosts again.
    pub(super) fn leave_connections(&self) {
        self.lanes.leave_all();
        drop(self.pool.retain(|_, _| false));
    }

    /// Tells whoever waits for it that something was written here.
    pub(super) fn tell_written(&self) {
        self.written.send_replace(());
    }

    /// Changes whenever something was written here; what is written elsewhere does not show.
    pub(super) fn written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// The rows of a read that may take its time: over a connection of its own, and ended by the database when nobody waits for
    /// it any more.
    pub(super) async fn list(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        let mut connection = self.connection().await?;
        let tx = bounded(connection.build_transaction().read_only(true).start()).await?;
        let _ = tx.batch_execute(&format!("SET LOCAL statement_timeout = {}", PATIENCE.as_millis())).now_or_never();
        let rows = statement.rows(&tx, params).await?;
        bounded(tx.commit()).await?;
        Ok(rows)
    }

    /// The only row of such a read.
    pub(super) async fn count(&self, statement: &'static Statement, params: Params<'_>) -> Result<Row> {
        only(self.list(statement, params).await?.into_iter().next())
    }

    /// The rows of a read that takes no time.
    pub(super) async fn read(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        self.lanes.read(statement, params).await
    }

    /// The first row of a read.
    pub(super) async fn read_opt(&self, statement: &'static Statement, params: Params<'_>) -> Result<Option<Row>> {
        Ok(self.read(statement, params).await?.into_iter().next())
    }

    /// The only row of a read.
    pub(super) async fn read_one(&self, statement: &'static Statement, params: Params<'_>) -> Result<Row> {
        only(self.read_opt(statement, params).await?)
    }
}

fn only(row: Option<Row>) -> Result<Row> {
    row.ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))
}

/// How to reach the database.
pub(super) struct Connector {
    config: tokio_postgres::Config,
    tls: Option<MakeRustlsConnect>,
}

impl Connector {
    fn new(config: tokio_postgres::Config, roots: &Roots) -> Result<Self> {
        let wrong = |cause| Error::with_source(ErrorKind::Internal, "TLS to the database cannot be set up", cause);
        // `prefer` would fall back to plain text anyway, so it protects nothing; who wants TLS says `require`, and then
        // the certificate is verified.
        let tls = match config.get_ssl_mode() {
            SslMode::Disable | SslMode::Prefer => None,
            _ => Some(MakeRustlsConnect::new(roots.client_config().map_err(wrong)?)),
        };
        Ok(Self { config, tls })
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<Client> {
        bounded(async { self.open(Arc::default()).await.map(|(client, _)| client) }).await
    }

    async fn open(&self, heard: Arc<Notify>) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let (client, driving) = match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, tokio::spawn(drive(connection, heard)))
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, tokio::spawn(drive(connection, heard)))
            }
        };
        client.batch_execute(SESSION).await?;
        Ok((client, driving))
    }
}

/// Runs a connection until it ends, and tells of the notifications that come over it.
async fn drive<S, T>(mut connection: Connection<S, T>, heard: Arc<Notify>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notification(_)) => heard.notify_one(),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string),
                    "a database connection ended"
                );
                break;
            }
        }
    }
    // Whoever listens finds out now, and not when the next poll is due.
    heard.notify_one();
}

/// Lets the pool connect as everybody else does.
struct Dial(Arc<Connector>);

impl Connect for Dial {
    fn connect(
        &self,
        _: &tokio_postgres::Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        self.0.open(Arc::default()).boxed()
    }
}

/// Gives the database a bounded time.
pub(super) async fn bounded<T>(work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T> {
    bounded_by(PATIENCE, work).await
}

/// Gives the database so much time.
pub(super) async fn bounded_by<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T> {
    match timeout(patience, work).await {
        Ok(done) => done.map_err(db_error),
        Err(_) => Err(Error::new(ErrorKind::Unavailable, "the database did not answer in time")
            .retry_after(Duration::from_secs(1))),
    }
}

/// Tells "the database is away" from "we asked it something wrong".
pub(super) fn db_error(cause: tokio_postgres::Error) -> Error {
    let away = match cause.code() {
        // No SQLSTATE: the connection failed before the server could say anything.
        None => cause.is_closed() || cause.as_db_error().is_none(),
        Some(code) => {
            let class = code.code().get(..2).unwrap_or_default();
            // Connection trouble, lack of resources, operator intervention, conflicts that a repetition resolves.
            matches!(class, "08" | "53" | "57" | "58" | "40" | "55" | "25") || *code == SqlState::CANNOT_CONNECT_NOW
        }
    };
    match away {
        true => Error::with_source(ErrorKind::Unavailable, "the database is away", cause)
            .retry_after(Duration::from_secs(1)),
        false => Error::with_source(ErrorKind::Internal, "the database refused a statement", cause),
    }
}
