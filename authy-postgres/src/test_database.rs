//! A database for one test, in a PostgreSQL that the tests of a process share.

use std::{
    env,
    fs::{self, File, Permissions},
    future::Future,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{sync::Mutex, task::spawn_blocking};
use tokio_postgres::{Config, NoTls};

use crate::{Cluster, Error};

/// Beginning of the names of the folders.
const PREFIX: &str = "authy-test-database-";

/// Maximum number of databases in one PostgreSQL. An authy server opens up to a dozen connections, and a PostgreSQL without
/// durability accepts 400.
const MAX_DATABASES: usize = 24;

/// Age at which the folder of a process that was killed is removed by the next one. A younger one may be that of a process
/// which is just starting.
const ABANDONED_AGE: Duration = Duration::from_secs(3600);

/// The PostgreSQL of this process: as long as there is a database in it.
static SHARED: Mutex<Weak<SharedCluster>> = Mutex::const_new(Weak::new());

/// A new database for one test. Dropping it removes the database.
///
/// Tests that run at the same time in one process share a PostgreSQL, which is started for the first of them, in a second or
/// two, and stopped and removed with the last database. It is volatile, and in the folder for temporary files: `TMPDIR`, or
/// `/tmp`. When root runs the tests, PostgreSQL runs as another user, who has to be able to enter that folder.
///
/// ```no_run
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// let database = authy_postgres::TestDatabase::create().await?;
/// let (client, connection) = database.config().connect(tokio_postgres::NoTls).await?;
/// # drop((client, connection));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    /// `None` when the database was removed.
    shared: Option<Arc<SharedCluster>>,
    config: Config,
}

#[derive(Debug)]
struct SharedCluster {
    // Stopped before its folder is removed: fields are dropped in this order.
    cluster: Cluster,
    _folder: TempDir,
    count: AtomicU32,
}

impl TestDatabase {
    /// Creates a database, and starts PostgreSQL when this process has none.
    ///
    /// # Errors
    /// As [`ClusterBuilder::start`](crate::ClusterBuilder::start).
    pub async fn create() -> Result<Self, Error> {
        let shared = shared().await?;
        let name = format!("test_{}", shared.count.fetch_add(1, Ordering::Relaxed));
        shared.run(&format!("CREATE DATABASE {name}")).await?;
        Ok(Self { config: shared.cluster.config_for(&name), name, shared: Some(shared) })
    }

    /// Returns the connection settings of the database, for its owner, who is the superuser of the cluster.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// Removes the database, as dropping it does, without blocking the thread meanwhile.
    pub async fn remove(mut self) {
        if let Some(shared) = self.shared.take() {
            let name = std::mem::take(&mut self.name);
            let _ = spawn_blocking(move || remove(shared, &name)).await;
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (shared, name) = (self.shared.take(), std::mem::take(&mut self.name));
        if let Some(shared) = shared {
            // On a thread of its own: a runtime cannot be entered from within another. Waited for, because a process whose
            // tests have ended would otherwise end before the folder is removed.
            let _ = thread::spawn(move || remove(shared, &name)).join();
        }
    }
}

/// Removes a database, or the whole cluster with the last one.
fn remove(shared: Arc<SharedCluster>, name: &str) {
    match Arc::try_unwrap(shared) {
        Ok(cluster) => drop(cluster),
        Err(shared) => {
            // Also while connections to it are open: the test is over.
            let removed = block_on(shared.run(&format!("DROP DATABASE {name} WITH (FORCE)")));
            if let Err(error) = removed {
                tracing::warn!(%error, "the database of a test is not removed before the others");
            }
        }
    }
}

fn block_on(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(source) => Err(Error::Unreachable { source, log: String::new() }),
    }
}

impl SharedCluster {
    async fn start() -> Result<Self, Error> {
        let temporary = env::temp_dir();
        remove_abandoned(&temporary);
        // The user who runs PostgreSQL when root runs the tests has to enter it.
        let folder =
            tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o755)).tempdir_in(&temporary);
        let folder = folder.map_err(|source| Error::Unwritable { path: temporary, source })?;
        let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await?;
        Ok(Self { cluster, _folder: folder, count: AtomicU32::new(0) })
    }

    /// Runs a statement, on the connection of the cluster's own database.
    async fn run(&self, statement: &str) -> Result<(), Error> {
        let failed = |cause| Error::Unreachable { source: std::io::Error::other(cause), log: String::new() };
        let (client, connection) = self.cluster.config().connect(NoTls).await.map_err(failed)?;
        let driven = tokio::spawn(connection);
        let done = client.batch_execute(statement).await.map_err(failed);
        drop(client);
        let _ = driven.await;
        done
    }
}

/// Returns the cluster of this process, or starts one.
async fn shared() -> Result<Arc<SharedCluster>, Error> {
    let mut last = SHARED.lock().await;
    if let Some(shared) = last.upgrade().filter(|_| last.strong_count() <= MAX_DATABASES) {
        return Ok(shared);
    }
    let started = Arc::new(SharedCluster::start().await?);
    *last = Arc::downgrade(&started);
    Ok(started)
}

/// Removes what processes that were killed have left: PostgreSQL ends when its parent does, and its folder stays.
fn remove_abandoned(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for folder in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let lock = folder.path().join("lock");
        let age = fs::metadata(&lock).and_then(|metadata| metadata.modified()).map(|modified| modified.elapsed());
        let is_old = matches!(age, Ok(Ok(age)) if age > ABANDONED_AGE);
        // A process that uses a cluster holds its lock.
        if is_old && File::open(&lock).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}
