//! A PostgreSQL of one's own: a private cluster in a folder, started and stopped with the program that needs it.
//!
//! It takes the server programs that are installed, listens on a unix socket that nobody else can reach, comes back by
//! itself when it is killed, and ends when its parent ends, however that happens.
//!
//! ```no_run
//! # async fn start() -> Result<(), authy_postgres::Error> {
//! let cluster = authy_postgres::Cluster::builder("./data").start().await?;
//! let (client, connection) = cluster.config().connect(tokio_postgres::NoTls).await.unwrap();
//! # drop((client, connection));
//! cluster.stop().await
//! # }
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tokio_postgres::{Config, NoTls};

mod account;
mod error;
mod folder;
mod postmaster;
mod programs;
mod watchdog;

pub use error::Error;

use account::Account;
use folder::Folder;
use postmaster::Postmaster;
use programs::Programs;

/// The database that a cluster is made for, and its owner.
const NAME: &str = "authy";

/// How long a start may take: after a crash a large database replays its log first.
const START: Duration = Duration::from_secs(120);

/// A PostgreSQL that runs. Dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    // Stopped before the folder is unlocked: fields are dropped in this order.
    postmaster: Postmaster,
    folder: Folder,
}

/// How a cluster is started.
#[derive(Clone, Debug)]
pub struct Builder {
    folder: PathBuf,
    programs: Option<PathBuf>,
    durability: Durability,
}

/// What a crash may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Full,
    None,
}

impl Cluster {
    /// Begins with the folder that the cluster lives in; it is made when it is not there.
    pub fn builder(folder: impl Into<PathBuf>) -> Builder {
        Builder { folder: folder.into(), programs: None, durability: Durability::Full }
    }

    /// How to connect to the database `authy`, as its owner and superuser of the cluster.
    pub fn config(&self) -> Config {
        self.config_for(NAME)
    }

    /// How to connect to a database of the cluster.
    pub fn config_for(&self, database: &str) -> Config {
        config(self.folder.socket(), database)
    }

    /// The process id of the postmaster now; it changes when PostgreSQL had to be started anew.
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.pid()
    }

    /// Stops it and waits until it has: open transactions are rolled back, what was committed is on disk.
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

/// How to connect to the cluster in a folder that another program has started; `None` when nobody has.
pub fn running(folder: &Path) -> Option<Config> {
    folder::running_socket(folder).map(|socket| config(&socket, NAME))
}

impl Builder {
    /// The folder of the server programs (`postgres`, `initdb`), instead of the newest that is installed.
    #[must_use]
    pub fn programs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }

    /// Keeps nothing safe: quicker, and a crash costs the cluster. For tests.
    #[must_use]
    pub fn dangerous_volatile(mut self) -> Self {
        self.durability = Durability::None;
        self
    }

    /// Starts PostgreSQL, making the cluster first when there is none, and waits until it takes connections.
    ///
    /// # Errors
    /// Each says what to do about it: no server programs, a cluster of another version, a folder that is in use, cannot
    /// be written, or cannot be entered by the user that PostgreSQL has to run as.
    pub async fn start(self) -> Result<Cluster, Error> {
        let account = Account::to_run_as()?;
        let mut folder = Folder::open(&self.folder, &account)?;
        folder.wait_for_orphan().await?;
        let programs = Programs::find(self.programs.as_deref(), folder.version()?, &account)?;
        if folder.version()?.is_none() {
            folder.create_cluster(&programs, &account, self.durability)?;
        }
        folder.prepare_socket(&account)?;
        let postmaster = Postmaster::start(&programs, &folder, &account, self.durability)?;
        let cluster = Cluster { postmaster, folder };
        cluster.wait_until_ready().await?;
        cluster.postmaster.keep();
        Ok(cluster)
    }
}

impl Cluster {
    async fn wait_until_ready(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let mut told = begun;
        loop {
            let failure = match self.config_for("postgres").connect(NoTls).await {
                Ok((client, connection)) => {
                    let driven = tokio::spawn(connection);
                    let ready = ensure_database(&client).await;
                    drop(client);
                    let _ = driven.await;
                    return ready.map_err(Error::Unreachable);
                }
                Err(error) => error,
            };
            if self.postmaster.has_ended() {
                return Err(Error::Ended { log: folder::tail(&self.folder.log()) });
            }
            if begun.elapsed() > START {
                return Err(Error::Unreachable(failure));
            }
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                tracing::info!(seconds = begun.elapsed().as_secs(), "PostgreSQL is still starting: {failure}");
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn ensure_database(client: &tokio_postgres::Client) -> Result<(), tokio_postgres::Error> {
    let found = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&NAME]).await?;
    if found.is_none() {
        client.batch_execute(&format!("CREATE DATABASE {NAME}")).await?;
    }
    Ok(())
}

fn config(socket: &Path, database: &str) -> Config {
    let mut config = Config::new();
    config.host_path(socket).user(NAME).dbname(database);
    config
}

/// The first line of a file, when it can be read.
fn first_line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().next().map(str::to_owned)
}
