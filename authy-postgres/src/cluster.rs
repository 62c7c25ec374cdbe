//! A cluster: started, connected to, and stopped.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};
use tokio_postgres::{Config, NoTls};

use crate::{
    durability::Durability,
    error::Error,
    folder::{self, ClusterFolder, DATABASE},
    os_user::OsUser,
    postmaster::Postmaster,
    programs::Programs,
};

/// Maximum time for a start: after a crash a large database replays its log first.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Maximum time for one attempt to connect. The socket of a process that is stopped takes connections, and nothing ever answers.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// A running PostgreSQL. Dropping it stops it.
///
/// PostgreSQL does not run as root. When root runs the program, PostgreSQL runs as the user `postgres`, or `nobody`, who has
/// to be able to enter the folder and those above it. A folder of [`tempfile`] has mode 0700, so tests that root may run, as in
/// a container, give it mode 0755. Its content stays private: the data and the socket are in folders that no other user
/// enters. [`TestDatabase`](crate::TestDatabase) does this.
///
/// ```no_run
/// use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};
///
/// use authy_postgres::Cluster;
///
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir()?;
/// let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await?;
/// # drop(cluster);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cluster {
    // Stopped before the folder is unlocked: fields are dropped in this order.
    postmaster: Postmaster,
    folder: ClusterFolder,
}

/// Configures and starts a [`Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    folder: PathBuf,
    programs: Option<PathBuf>,
    durability: Durability,
    start_timeout: Duration,
}

impl Cluster {
    /// Begins a cluster in this folder, which is created when it does not exist.
    pub fn builder(folder: impl Into<PathBuf>) -> ClusterBuilder {
        ClusterBuilder {
            folder: folder.into(),
            programs: None,
            durability: Durability::Full,
            start_timeout: START_TIMEOUT,
        }
    }

    /// Returns the connection settings of the database `authy`, for its owner, who is the superuser of the cluster.
    pub fn config(&self) -> Config {
        self.config_for(DATABASE)
    }

    /// Returns the connection settings of a database of the cluster.
    pub fn config_for(&self, database: &str) -> Config {
        config(self.folder.socket(), database)
    }

    /// Returns the current process id of the postmaster; it changes when PostgreSQL is restarted.
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.pid()
    }

    /// Stops PostgreSQL and waits until it has ended: open transactions are rolled back, committed ones are on disk.
    ///
    /// # Errors
    /// [`Error::Stuck`] when it does not end.
    pub async fn stop(self) -> Result<(), Error> {
        let Self { mut postmaster, folder } = self;
        let stopped = tokio::task::spawn_blocking(move || postmaster.stop()).await;
        drop(folder);
        stopped.unwrap_or(Err(Error::Stuck))
    }
}

/// Returns the connection settings of the cluster that another program runs in a folder; `None` when there is none.
pub fn running(folder: &Path) -> Option<Config> {
    folder::running_socket(folder).map(|socket| config(&socket, DATABASE))
}

impl ClusterBuilder {
    /// Sets the folder of the server programs (`postgres`, `initdb`). When not set, the newest installed ones are used.
    #[must_use]
    pub fn programs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }

    /// Turns off durability: faster, but a crash may destroy the cluster. For tests.
    #[must_use]
    pub fn dangerous_volatile(mut self) -> Self {
        self.durability = Durability::None;
        self
    }

    /// Sets how long PostgreSQL may take until it accepts connections. Default: two minutes, because after a crash a large database
    /// replays its log first.
    #[must_use]
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }

    /// Starts PostgreSQL, creates the cluster when there is none, and waits until it accepts connections.
    ///
    /// # Errors
    /// [`Error`], whose message says what to do: there are no server programs, the cluster is of another version, or
    /// the folder is in use, cannot be written, or cannot be entered by the user that PostgreSQL has to run as.
    pub async fn start(self) -> Result<Cluster, Error> {
        let user = OsUser::to_run_as()?;
        let mut folder = ClusterFolder::open(&self.folder, &user)?;
        folder.wait_for_orphan().await?;
        let programs = Programs::find(self.programs.as_deref(), folder.version()?, &user)?;
        if folder.version()?.is_none() {
            folder.create_cluster(&programs, &user, self.durability)?;
        }
        folder.prepare_socket(&user)?;
        let postmaster = Postmaster::start(&programs, &folder, &user, self.durability)?;
        let cluster = Cluster { postmaster, folder };
        cluster.wait_until_ready(self.start_timeout).await?;
        cluster.postmaster.keep();
        Ok(cluster)
    }
}

impl Cluster {
    async fn wait_until_ready(&self, limit: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        let mut logged = begun;
        loop {
            let failure = match within(ATTEMPT_TIMEOUT, self.config_for("postgres").connect(NoTls)).await {
                Ok((client, connection)) => {
                    let driven = tokio::spawn(connection);
                    // A new database is a copy of another one, which may take longer than an answer.
                    let left = limit.saturating_sub(begun.elapsed()).max(ATTEMPT_TIMEOUT);
                    let ready = within(left, ensure_database(&client)).await;
                    drop(client);
                    if ready.is_ok() {
                        let _ = driven.await;
                    }
                    return ready.map_err(|source| self.unreachable(source));
                }
                Err(error) => error,
            };
            if self.postmaster.has_ended() {
                return Err(Error::Ended { log: self.postmaster.last_words() });
            }
            if begun.elapsed() > limit {
                return Err(self.unreachable(failure));
            }
            if logged.elapsed() > Duration::from_secs(5) {
                logged = Instant::now();
                tracing::info!(seconds = begun.elapsed().as_secs(), "PostgreSQL is still starting: {failure}");
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn unreachable(&self, source: io::Error) -> Error {
        Error::Unreachable { source, log: self.postmaster.last_words() }
    }
}

/// Limits the time of what PostgreSQL is asked.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, io::Error> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(io::Error::other),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()))),
    }
}

async fn ensure_database(client: &tokio_postgres::Client) -> Result<(), tokio_postgres::Error> {
    let found = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE]).await?;
    if found.is_none() {
        client.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    }
    Ok(())
}

fn config(socket: &Path, database: &str) -> Config {
    let mut config = Config::new();
    config.host_path(socket).user(DATABASE).dbname(database);
    config
}
