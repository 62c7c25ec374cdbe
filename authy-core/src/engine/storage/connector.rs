//! Opens connections, limits the time of their answers, and classifies their errors.

use std::{
    error::Error as _,
    future::{Future, poll_fn},
    io,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{
    AsyncMessage, Client, Connection, NoTls,
    config::{Host, SslMode},
    error::SqlState,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    Error, ErrorKind, Result,
    encryption::{self, ConnectionKind, Encryption, PlainTextRefused},
    engine::storage::{
        generation::{Generation, Generations, is_demotion},
        pooler::{Pooler, Sessions},
        session::TransactionAccess,
    },
    tls::Roots,
};

mod host;

use host::Hosts;

/// Maximum wait for a connection or an answer. Long enough for the first seconds of a failover to be only a delay, and
/// short enough that a caller receives "unavailable" before it gives up.
pub(in crate::engine) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Fails on a standby (SQLSTATE 55000), which would answer reads, perhaps from long ago. `target_session_attrs` cannot be
/// relied on: by default every host will do, and a pooler or balancer may lead to any server.
const REQUIRE_PRIMARY: &str = "SELECT pg_current_wal_lsn()";

/// Fails on a primary (SQLSTATE 55000), so that the next host is tried.
const REQUIRE_STANDBY: &str = "SELECT pg_is_wal_replay_paused()";

const REQUIRE_NOTHING: &str = "";

const DATABASE_CONNECTION: ConnectionKind = ConnectionKind {
    carries: "passwords, addresses and password hashes",
    encrypt_with: "sslmode=require or sslmode=verify-full (both verify the server's certificate)",
    permit_plain_text_with: "sslmode=disable (in a program: `Builder::dangerous_allow_plain_text`)",
};

/// Refuses a database on another machine unless its connections are encrypted or `sslmode=disable` is set.
///
/// # Errors
/// When `sslmode` is not set or is `prefer`, and one of the hosts is another machine.
pub fn check_encryption(database: &tokio_postgres::Config) -> Result<(), PlainTextRefused> {
    let encryption = match database.get_ssl_mode() {
        SslMode::Disable => Encryption::Declined,
        // When the server does not offer encryption, it is not used, and there is no notice.
        SslMode::Prefer => Encryption::Unspecified,
        _ => Encryption::Required,
    };
    // When both are set, connections go to the address, and the name is only for certificates.
    let addresses: Vec<_> = database.get_hostaddrs().iter().map(ToString::to_string).collect();
    let hosts = database.get_hosts().iter().skip(addresses.len()).map(|host| match host {
        Host::Tcp(host) => host.as_str(),
        Host::Unix(_) => "/",
    });
    encryption::check(DATABASE_CONNECTION, encryption, addresses.iter().map(String::as_str).chain(hosts))
}

/// Maximum time to connect to one of several addresses, until its first answer. Short enough that one that is frozen leaves time
/// for another within [`ANSWER_TIMEOUT`].
const HOST_TIMEOUT: Duration = Duration::from_secs(2);

/// What a server has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum ServerRole {
    /// The one that takes writes.
    Primary,
    /// One that replays them.
    Standby,
    /// Whichever answers first.
    Any,
}

/// Opens connections to the database.
pub(in crate::engine) struct Connector {
    pub(in crate::engine) config: tokio_postgres::Config,
    pub(in crate::engine) sessions: Sessions,
    hosts: Hosts,
    tls: Option<MakeRustlsConnect>,
    generations: Generations,
    role: ServerRole,
}

/// An open connection.
pub(in crate::engine) struct Opened {
    pub(in crate::engine) client: Client,
    pub(in crate::engine) driving: JoinHandle<()>,
    pub(in crate::engine) generation: Generation,
}

impl Connector {
    pub(in crate::engine) fn new(
        config: tokio_postgres::Config,
        pooler: Pooler,
        role: ServerRole,
        roots: &Roots,
    ) -> Result<Self> {
        let wrong = |cause| Error::with_source(ErrorKind::Internal, "TLS to the database cannot be set up", cause);
        // `prefer` would fall back to plain text, so it protects nothing. `require` enables TLS, and then the
        // certificate is verified.
        let tls = match config.get_ssl_mode() {
            SslMode::Disable | SslMode::Prefer => None,
            _ => Some(MakeRustlsConnect::new(roots.client_config().map_err(wrong)?)),
        };
        // A longer `connect_timeout` would leave no time for another host.
        let time = config.get_connect_timeout().map_or(HOST_TIMEOUT, |time| HOST_TIMEOUT.min(*time));
        let hosts = Hosts::of(&config, time);
        Ok(Self { config, sessions: Sessions::new(pooler), hosts, tls, generations: Generations::new(), role })
    }

    /// Returns what a transaction on a connection may do.
    pub(in crate::engine) fn access(&self) -> TransactionAccess {
        match self.role {
            ServerRole::Primary => TransactionAccess::ReadWrite,
            ServerRole::Standby | ServerRole::Any => TransactionAccess::ReadOnly,
        }
    }

    /// Returns the generations of the connections.
    pub(in crate::engine) fn generations(&self) -> &Generations {
        &self.generations
    }

    /// Makes the next connection begin with the next host.
    pub(in crate::engine) fn leave_host(&self) {
        self.hosts.leave();
    }

    /// Opens a connection.
    pub(in crate::engine) async fn connect(&self) -> Result<Opened> {
        bounded(self.open(Arc::default())).await
    }

    /// Opens a connection that signals the notifications that it receives. In a box, which keeps the types of all that await it small.
    pub(in crate::engine) fn open(&self, heard: Arc<Notify>) -> BoxFuture<'_, Result<Opened, tokio_postgres::Error>> {
        let opening = async move {
            loop {
                let generation = self.generations.present();
                let opened = self.hosts.first(|host| self.open_host(host, heard.clone(), generation)).await?;
                // Otherwise it may lead to the server that was left meanwhile.
                if generation == self.generations.present() {
                    return Ok(opened);
                }
            }
        };
        opening.boxed()
    }

    async fn open_host(
        &self,
        host: tokio_postgres::Config,
        heard: Arc<Notify>,
        generation: Generation,
    ) -> Result<Opened, tokio_postgres::Error> {
        let left = self.generations.clone();
        let demoted = move || left.leave(generation);
        let (client, driving) = match &self.tls {
            None => {
                let (client, connection) = host.connect(NoTls).await?;
                (client, tokio::spawn(drive(connection, heard, demoted)))
            }
            Some(tls) => {
                let (client, connection) = host.connect(tls.clone()).await?;
                (client, tokio::spawn(drive(connection, heard, demoted)))
            }
        };
        let check_role = client.batch_execute(match self.role {
            ServerRole::Primary => REQUIRE_PRIMARY,
            ServerRole::Standby => REQUIRE_STANDBY,
            ServerRole::Any => REQUIRE_NOTHING,
        });
        let (settings, role) = tokio::join!(self.sessions.begin(&client), check_role);
        settings.and(role)?;
        Ok(Opened { client, driving, generation })
    }
}

/// Drives a connection until it ends, signals the notifications that it receives, and calls `demoted` when the server
/// ends it because it is about to stop being the primary.
async fn drive<S, T>(mut connection: Connection<S, T>, heard: Arc<Notify>, demoted: impl FnOnce())
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notification(_)) => heard.notify_one(),
            Ok(_) => {}
            Err(error) => {
                if is_demotion(&error) {
                    demoted();
                }
                tracing::warn!(
                    error = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string),
                    "a database connection ended"
                );
                break;
            }
        }
    }
    // Waiters learn of the end immediately, not at the next poll.
    heard.notify_one();
}

/// Limits the time of a database operation to [`ANSWER_TIMEOUT`].
pub(in crate::engine) async fn bounded<T>(work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T> {
    bounded_by(ANSWER_TIMEOUT, work).await
}

/// Limits the time of a database operation.
pub(in crate::engine) async fn bounded_by<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(db_error),
        Err(_) => Err(not_in_time()),
    }
}

/// Returns the error of an answer that did not come within its limit.
pub(in crate::engine) fn not_in_time() -> Error {
    Error::new(ErrorKind::Unavailable, "the database did not answer in time").with_retry_after(Duration::from_secs(1))
}

/// Classifies an error: the database is not available, or it refuses the program.
pub(in crate::engine) fn db_error(cause: tokio_postgres::Error) -> Error {
    let (kind, detail) = describe(&cause);
    let error = Error::with_source(kind, detail, cause);
    match kind {
        ErrorKind::Unavailable => error.with_retry_after(Duration::from_secs(1)),
        _ => error,
    }
}

/// Returns the kind of an error, and its description for the operator.
pub(in crate::engine) fn describe(cause: &tokio_postgres::Error) -> (ErrorKind, &'static str) {
    match cause.code() {
        Some(code) => classify(code),
        // No SQLSTATE: the connection failed before the server answered.
        None if may_pass(cause) => (ErrorKind::Unavailable, AWAY),
        None => (ErrorKind::Unavailable, "the connections to the database are not set up correctly"),
    }
}

const AWAY: &str = "the database is not available";

fn classify(code: &SqlState) -> (ErrorKind, &'static str) {
    let class = code.code().get(..2).unwrap_or_default();
    match class {
        _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
            (ErrorKind::Unavailable, "the database is read-only: it is a standby, or is being made the primary")
        }
        _ if *code == SqlState::LOCK_NOT_AVAILABLE => (ErrorKind::Unavailable, CONFLICT),
        "40" => (ErrorKind::Unavailable, CONFLICT),
        // Connection failures, insufficient resources, operator intervention, a state that passes, and prepared statements that
        // a pooler has lost or confused.
        "08" | "53" | "57" | "58" | "55" | "25" | "26" => (ErrorKind::Unavailable, AWAY),
        _ if *code == SqlState::DUPLICATE_PSTATEMENT => (ErrorKind::Unavailable, AWAY),
        "28" => (ErrorKind::Internal, "the database refuses the user: check its name, its password, and pg_hba.conf"),
        "3D" => (ErrorKind::Internal, "the database does not exist: create it, or configure another"),
        _ => (ErrorKind::Internal, "the database refused a statement"),
    }
}

const CONFLICT: &str = "another transaction is in the way: a retry may succeed";

/// Returns whether every server refused a connection because none is what it has to be, or the last of them did.
pub(in crate::engine) fn is_refused_for_role(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.is_some_and(|cause| cause.code() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE))
}

/// Returns whether an error is that of a connection for which waiting is of no use.
pub(in crate::engine) fn is_permanent(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.is_some_and(|cause| cause.code().is_none() && !may_pass(cause))
}

/// Returns whether a connection failed for a reason that may pass, unlike a certificate that is not trusted, or a password that
/// is missing.
fn may_pass(cause: &tokio_postgres::Error) -> bool {
    let Some(source) = cause.source() else { return true };
    let is_untrusted = |error: &io::Error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
    };
    source.downcast_ref::<io::Error>().is_some_and(|error| !is_untrusted(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wait_may_mend_is_told_from_what_it_does_not() {
        for (code, kind, part) in [
            ("57P03", ErrorKind::Unavailable, "not available"),
            ("53300", ErrorKind::Unavailable, "not available"),
            ("25P03", ErrorKind::Unavailable, "not available"),
            ("25006", ErrorKind::Unavailable, "read-only"),
            ("40001", ErrorKind::Unavailable, "another transaction"),
            ("40P01", ErrorKind::Unavailable, "another transaction"),
            ("55P03", ErrorKind::Unavailable, "another transaction"),
            ("28P01", ErrorKind::Internal, "refuses the user"),
            ("3D000", ErrorKind::Internal, "does not exist"),
            ("42P01", ErrorKind::Internal, "refused a statement"),
        ] {
            let (found, detail) = classify(&SqlState::from_code(code));
            assert!(found == kind && detail.contains(part), "{code}: {found} {detail}");
        }
    }
}
