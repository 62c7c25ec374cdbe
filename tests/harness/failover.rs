//! A primary with a streaming standby, made with PostgreSQL's own programs, and a failover from one to the other.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use authy_postgres::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::{
    Client, Config, NoTls,
    config::{Host, TargetSessionAttrs},
};

use crate::{database, until, until_within};

/// A primary and its standby.
pub struct FailoverPair {
    primary: Cluster,
    standby: Cluster,
    folder: tempfile::TempDir,
}

impl FailoverPair {
    /// A primary with a standby that has everything.
    pub async fn start() -> Self {
        let folder = database::folder();
        let [primary, standby] = ["a", "b"].map(|name| folder.path().join(name));
        let start = |path: &Path| Cluster::builder(path).dangerous_volatile().start();
        let source = start(&primary).await.unwrap();
        fs::create_dir(&standby).unwrap();
        copy_for_standby(&source, &standby).await;
        let pair = Self { primary: source, standby: start(&standby).await.unwrap(), folder };
        pair.until_the_standby_has_everything().await;
        pair
    }

    /// The way to whichever of the two takes writes. The standby can be reached by it after
    /// [`open_standby`](Self::open_standby).
    pub fn config(&self) -> Config {
        let mut config = self.primary.config();
        config.host_path(self.link()).target_session_attrs(TargetSessionAttrs::ReadWrite);
        config
    }

    /// The way to the primary alone, whatever it is.
    pub fn primary_config(&self) -> Config {
        self.primary.config()
    }

    /// The way to the standby alone.
    pub fn standby_config(&self) -> Config {
        self.standby.config()
    }

    /// Lets those who know [`config`](Self::config) reach the standby.
    pub fn open_standby(&self) {
        symlink(socket(&self.standby), self.link()).unwrap();
    }

    /// Waits until the standby has replayed what was committed on the primary.
    pub async fn until_the_standby_has_everything(&self) {
        let (primary, standby) = (self.sql(&self.primary).await, self.sql(&self.standby).await);
        // A volatile cluster writes what it commits a little later. A commit that waits takes all before it along.
        let flush = "SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'flush', '')";
        primary.batch_execute(flush).await.unwrap();
        let written = primary.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.unwrap();
        let written: String = written.get(0);
        let replayed = "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)";
        until("the standby has everything", || async {
            standby.query_one(replayed, &[&written]).await.unwrap().get(0)
        })
        .await;
    }

    /// Cuts the standby off from the primary: it knows nothing of what happens from here on.
    pub async fn cut_replication(&self) {
        let standby = self.sql(&self.standby).await;
        standby.batch_execute("ALTER SYSTEM SET primary_conninfo = ''").await.unwrap();
        standby.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        until("the standby receives nothing", || async {
            standby.query_one("SELECT count(*) = 0 FROM pg_stat_wal_receiver", &[]).await.unwrap().get(0)
        })
        .await;
    }

    /// Kills the primary permanently.
    pub fn lose_primary(&self) {
        let data = self.folder.path().join("a/postgres");
        // Without its data it is not started anew.
        fs::rename(&data, data.with_extension("lost")).unwrap();
        let pid = self.primary.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// Kills the primary permanently, and promotes the standby.
    pub async fn fail_over(&self) {
        self.lose_primary();
        let promoted = self.sql(&self.standby).await.query_one("SELECT pg_promote(true, 20)", &[]).await.unwrap();
        assert!(promoted.get::<_, bool>(0), "the standby was not promoted in time");
    }

    /// Promotes the standby, and restarts the primary as a standby that lives and receives nothing.
    pub async fn switch_over(&self) {
        let promoted = self.sql(&self.standby).await.query_one("SELECT pg_promote(true, 20)", &[]).await.unwrap();
        assert!(promoted.get::<_, bool>(0), "the standby was not promoted in time");
        let data = self.folder.path().join("a/postgres");
        let (owner, signal) = (fs::metadata(&data).unwrap(), data.join("standby.signal"));
        fs::write(&signal, "").unwrap();
        chown(&signal, Some(owner.uid()), Some(owner.gid())).unwrap();
        let postmaster = self.primary.pid().unwrap();
        kill_process(Pid::from_raw(postmaster.cast_signed()).unwrap(), Signal::INT).unwrap();
        let config = self.primary.config();
        until_within(Duration::from_secs(20), "the former primary is a standby", || async {
            let Ok((client, connection)) = config.connect(NoTls).await else { return false };
            tokio::spawn(connection);
            client.query_one("SELECT pg_is_in_recovery()", &[]).await.is_ok_and(|row| row.get(0))
        })
        .await;
    }

    /// The way to whichever of the two takes writes, by a list of both.
    pub fn config_of_both(&self) -> Config {
        let mut config = self.primary.config();
        config.host_path(socket(&self.standby)).target_session_attrs(TargetSessionAttrs::ReadWrite);
        config
    }

    /// Freezes the primary, which goes on accepting connections and answers none, and promotes the standby. The result ends the
    /// frozen processes when it is dropped.
    pub async fn freeze_and_promote(&self) -> Frozen {
        let data = self.folder.path().join("a/postgres");
        fs::rename(&data, data.with_extension("lost")).unwrap();
        let postmaster = self.primary.pid().unwrap();
        let frozen = Frozen(children(postmaster).into_iter().chain([postmaster]).collect());
        frozen.signal(Signal::STOP);
        let promoted = self.sql(&self.standby).await.query_one("SELECT pg_promote(true, 20)", &[]).await.unwrap();
        assert!(promoted.get::<_, bool>(0), "the standby was not promoted in time");
        frozen
    }

    fn link(&self) -> PathBuf {
        self.folder.path().join("standby")
    }

    async fn sql(&self, cluster: &Cluster) -> Client {
        database::connect(&cluster.config()).await
    }
}

/// Copies a primary into a folder, where a cluster then starts as its standby.
pub async fn copy_for_standby(primary: &Cluster, folder: &Path) {
    let copy = folder.join("postgres");
    let sql = database::connect(&primary.config()).await;
    let places = "SELECT setting, current_setting('data_directory') FROM pg_config() WHERE name = 'BINDIR'";
    let places = sql.query_one(places, &[]).await.unwrap();
    let mut backup = Command::new(PathBuf::from(places.get::<_, &str>(0)).join("pg_basebackup"));
    backup.arg("-h").arg(socket(primary)).args(["-U", primary.config().get_user().unwrap()]);
    backup.args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-D"]).arg(&copy);
    run(backup).await;
    // PostgreSQL runs as another user where the tests run as root.
    let owner = fs::metadata(places.get::<_, &str>(1)).unwrap();
    let mut give = Command::new("chown");
    give.arg("-R").arg(format!("{}:{}", owner.uid(), owner.gid())).arg(&copy);
    run(give).await;
}

/// Processes that are stopped and not dead.
pub struct Frozen(Vec<u32>);

impl Frozen {
    fn signal(&self, signal: Signal) {
        for pid in self.0.iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
            // One that has ended needs none.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The processes that a process has started.
pub fn children(parent: u32) -> Vec<u32> {
    let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &parent.to_string()]).output().unwrap();
    String::from_utf8(listed.stdout).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The folder of the socket of a cluster.
pub fn socket(cluster: &Cluster) -> PathBuf {
    match cluster.config().get_hosts() {
        [Host::Unix(socket)] => socket.clone(),
        hosts => panic!("no socket: {hosts:?}"),
    }
}

async fn run(mut command: Command) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
