//! A primary and its standby, which change places: each failover ends with a new standby.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use authy_postgres::Cluster;
use authy_tests::{
    database,
    failover::{children, copy_for_standby, socket},
    link::Endpoint,
    until_within,
    watchdog::Watchdog,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

/// How long a database may take to recover, to be promoted or to be copied, on a machine that does other things
/// meanwhile.
const REPAIR: Duration = Duration::from_secs(90);

/// The size of the disk of each node, which becomes full.
const DISK_MEGABYTES: u32 = 400;

/// The two nodes.
pub(super) struct Databases {
    nodes: [Option<Cluster>; 2],
    primary: usize,
    /// Whether each node has a small disk of its own, because this user may mount one.
    pub(super) has_small_disk: bool,
    folder: TempDir,
}

impl Databases {
    /// A primary with a synchronous standby. A commit is acknowledged when both have it, which survives the kill of any
    /// process; nothing waits for a disk.
    pub(super) async fn start(watchdog: &Watchdog) -> Self {
        let folder = database::folder();
        watchdog.remove(folder.path());
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let has_small_disk = paths.iter().all(|path| {
            fs::create_dir(path).unwrap();
            watchdog.unmount(path);
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o"]).arg(format!("size={DISK_MEGABYTES}m")).arg("none").arg(path);
            mount.output().is_ok_and(|output| output.status.success())
        });
        let mut databases = Self { nodes: [None, None], primary: 0, has_small_disk, folder };
        databases.nodes[0] = Some(databases.open(0).await);
        let sql = databases.sql(0).await;
        sql.batch_execute("ALTER DATABASE authy SET synchronous_commit = on").await.unwrap();
        // Small files, and none is kept for later: it would be space on a disk that is full.
        for setting in ["max_wal_size = '64MB'", "min_wal_size = '32MB'", "wal_recycle = off"] {
            sql.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
        }
        sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        databases.add_standby().await;
        databases
    }

    fn path(&self, node: usize) -> PathBuf {
        self.folder.path().join(["a", "b"][node])
    }

    async fn open(&self, node: usize) -> Cluster {
        Cluster::builder(self.path(node)).dangerous_volatile().start().await.unwrap()
    }

    fn node(&self, node: usize) -> &Cluster {
        self.nodes[node].as_ref().unwrap()
    }

    async fn sql(&self, node: usize) -> tokio_postgres::Client {
        database::connect(&self.node(node).config()).await
    }

    /// The way to the primary.
    pub(super) fn config(&self) -> tokio_postgres::Config {
        self.node(self.primary).config()
    }

    /// The socket of a node; `None` while there is none.
    pub(super) fn endpoint(&self, node: usize) -> Option<Endpoint> {
        self.nodes[node].as_ref().map(|cluster| Endpoint::Unix(socket(cluster).join(".s.PGSQL.5432")))
    }

    /// Copies the primary to the other node, starts it as a synchronous standby, and waits until it has everything.
    async fn add_standby(&mut self) {
        let (primary, standby) = (self.primary, 1 - self.primary);
        if let Some(lost) = self.nodes[standby].take() {
            // It ends its attempts to start what is not there anymore.
            spawn_blocking(move || drop(lost)).await.unwrap();
        }
        let path = self.path(standby);
        for left in fs::read_dir(&path).unwrap().flatten().map(|entry| entry.path()) {
            if left.is_dir() { fs::remove_dir_all(left).unwrap() } else { fs::remove_file(left).unwrap() }
        }
        copy_for_standby(self.node(primary), &path).await;
        self.nodes[standby] = Some(self.open(standby).await);
        self.set_synchronous(primary, "*").await;
        // The first commit that waits for the standby takes everything before it along.
        let sql = self.sql(primary).await;
        until_within(REPAIR, "the standby is synchronous", async || {
            let state =
                "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
            sql.query_one(state, &[]).await.unwrap().get(0)
        })
        .await;
    }

    async fn set_synchronous(&self, node: usize, standbys: &str) {
        let sql = self.sql(node).await;
        sql.batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")).await.unwrap();
        sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// Freezes every process of the primary, which goes on accepting connections. Returns them.
    pub(super) fn freeze(&self, watchdog: &Watchdog) -> Vec<u32> {
        let postmaster = self.node(self.primary).pid().unwrap();
        signal(postmaster, Signal::STOP);
        let processes: Vec<_> = children(postmaster).into_iter().chain([postmaster]).collect();
        for pid in &processes {
            watchdog.thaw(*pid);
            signal(*pid, Signal::STOP);
        }
        processes
    }

    /// Thaws what was frozen.
    pub(super) fn thaw(processes: &[u32]) {
        processes.iter().for_each(|pid| signal(*pid, Signal::CONT));
    }

    /// Kills the primary; it is started again by its supervisor.
    pub(super) async fn kill(&self) {
        signal(self.node(self.primary).pid().unwrap(), Signal::KILL);
        self.until_writable().await;
    }

    /// Waits until the primary takes writes.
    pub(super) async fn until_writable(&self) {
        let config = self.config();
        until_within(REPAIR, "the primary takes writes", async || {
            let Ok((client, connection)) = config.connect(tokio_postgres::NoTls).await else { return false };
            tokio::spawn(connection);
            client.batch_execute("SELECT pg_logical_emit_message(true, 'nemesis', '')").await.is_ok()
        })
        .await;
    }

    /// Extends the schema as a migration of the next release may: one transaction, under the load of servers that know nothing of it.
    /// Its version is not recorded: a server of this release that is started again would refuse the schema.
    pub(super) async fn extend_schema(&self) {
        let sql = self.sql(self.primary).await;
        let added = "SELECT count(*) FROM pg_tables WHERE schemaname = 'authy' AND tablename LIKE 'nemesis%'";
        let number: i64 = sql.query_one(added, &[]).await.unwrap().get(0);
        let mut migration = format!(
            "BEGIN; SET LOCAL lock_timeout = '10s';
             CREATE TABLE authy.nemesis_{number} (
                 id bigint PRIMARY KEY, user_id uuid REFERENCES authy.users ON DELETE CASCADE, body text NOT NULL);"
        );
        for table in ["users", "session", "password", "role", "event", "revocation", "delivery", "event_cursor"] {
            migration.push_str(&format!("ALTER TABLE authy.{table} ADD COLUMN nemesis_{number} text;"));
        }
        migration.push_str("COMMIT");
        // It may be the one that a deadlock with a server ends.
        until_within(REPAIR, "the schema is extended", async || {
            self.sql(self.primary).await.batch_execute(&migration).await.is_ok()
        })
        .await;
    }

    /// From now on commits do not wait for the standby, and it gets nothing more.
    pub(super) async fn leave_standby_behind(&self) {
        self.set_synchronous(self.primary, "").await;
        let sql = self.sql(1 - self.primary).await;
        sql.batch_execute("ALTER SYSTEM SET primary_conninfo = ''").await.unwrap();
        sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// Kills the primary permanently.
    pub(super) fn lose_primary(&self) {
        let data = self.path(self.primary).join("postgres");
        // Without its data it is not started anew.
        fs::rename(&data, data.with_extension("lost")).unwrap();
        if let Some(pid) = self.node(self.primary).pid() {
            signal(pid, Signal::KILL);
        }
    }

    /// Promotes the standby.
    pub(super) async fn promote(&mut self) {
        let standby = 1 - self.primary;
        // It has no standby of its own yet.
        self.set_synchronous(standby, "").await;
        let promoted = self.sql(standby).await.query_one("SELECT pg_promote(true, 60)", &[]).await.unwrap();
        assert!(promoted.get::<_, bool>(0), "the standby was not promoted in time");
        self.primary = standby;
    }

    /// Makes a standby of the node that was the primary.
    pub(super) async fn repair(&mut self) {
        self.add_standby().await;
    }

    /// The logs of both nodes, each with a name.
    pub(super) fn logs(&self) -> [(String, PathBuf); 2] {
        [0, 1].map(|node| (format!("postgres-{node}.log"), self.path(node).join("postgres.log")))
    }

    /// Fills the disk of the primary. Returns the file that fills it.
    pub(super) fn fill_disk(&self) -> PathBuf {
        let path = self.path(self.primary).join("ballast");
        let mut file = File::create(&path).unwrap();
        let (block, mut written) = (vec![0; 64 * 1024], 0);
        while file.write_all(&block).is_ok() {
            written += block.len();
            assert!(written < 1024 * 1024 * DISK_MEGABYTES as usize, "the disk is not small");
        }
        path
    }

    /// Has the primary begin another WAL file, for which it needs space.
    pub(super) async fn begin_wal_file(&self) {
        // It does not answer when there is none.
        let _ = self.sql(self.primary).await.batch_execute("SELECT pg_switch_wal(); CHECKPOINT").await;
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        let nodes = [self.nodes[0].take(), self.nodes[1].take()];
        drop(nodes);
        for path in [self.path(0), self.path(1)].iter().filter(|_| self.has_small_disk) {
            unmount(path);
        }
    }
}

fn unmount(path: &Path) {
    let _ = Command::new("umount").arg("-l").arg(path).output();
}

fn signal(pid: u32, signal: Signal) {
    // One that has ended needs none.
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal);
}
