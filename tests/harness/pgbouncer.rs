//! A PgBouncer of a test's own, in front of the PostgreSQL of the tests.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use tokio_postgres::{Config, NoTls, config::Host};

use crate::{database, until};

/// Runs PgBouncer until its own standard input is closed, which also happens when the test is killed.
const SUPERVISED: &str = r#"
PATH="$PATH:/usr/sbin"
pgbouncer -q "$1" > /dev/null 2>&1 &
cat > /dev/null
kill "$!"
wait
"#;

/// A PgBouncer that runs.
pub struct PgBouncer {
    folder: tempfile::TempDir,
    process: Child,
    input: Option<ChildStdin>,
}

impl PgBouncer {
    /// Starts one that has this pool mode (`session` or `transaction`) and at most so many connections to a database.
    pub async fn start(database: &Config, pool_mode: &str, pool_size: usize) -> Self {
        let [Host::Unix(socket)] = database.get_hosts() else { panic!("no socket: {database:?}") };
        let folder = database::folder();
        let file = folder.path().join("pgbouncer.ini");
        let user = database.get_user().unwrap();
        fs::write(&file, configuration(folder.path(), socket, user, pool_mode, pool_size)).unwrap();
        // It refuses to run as root, as PostgreSQL does.
        let owner = fs::metadata(socket.join(".s.PGSQL.5432")).unwrap();
        chown(folder.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
        let (process, input) = spawn(folder.path());
        let bouncer = Self { folder, process, input };
        bouncer.until_it_listens(database).await;
        bouncer
    }

    /// Ends it, with all of its connections, and starts it again.
    pub async fn restart(&mut self, database: &Config) {
        drop(self.input.take());
        self.process.wait().unwrap();
        (self.process, self.input) = spawn(self.folder.path());
        self.until_it_listens(database).await;
    }

    async fn until_it_listens(&self, database: &Config) {
        let config = self.config(database);
        until("PgBouncer listens", || async { config.connect(NoTls).await.is_ok() }).await;
    }

    /// The way to the database by PgBouncer.
    pub fn config(&self, database: &Config) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).port(6432);
        config.user(database.get_user().unwrap()).dbname(database.get_dbname().unwrap());
        config
    }
}

/// Runs it in a folder, as the owner of the folder.
fn spawn(folder: &Path) -> (Child, Option<ChildStdin>) {
    let owner = fs::metadata(folder).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", SUPERVISED, "pgbouncer"])
        .arg(folder.join("pgbouncer.ini"))
        .stdin(Stdio::piped())
        .process_group(0);
    if rustix::process::geteuid().is_root() {
        shell.uid(owner.uid()).gid(owner.gid());
    }
    let mut process = shell.spawn().unwrap();
    let input = process.stdin.take();
    (process, input)
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

fn configuration(folder: &Path, socket: &Path, user: &str, pool_mode: &str, pool_size: usize) -> String {
    let (folder, socket) = (folder.display(), socket.display());
    // One connection after the other in turn, so that nothing works because the same one happens to be used again.
    format!(
        "[databases]
         * = host={socket} port=5432 user={user}
         [pgbouncer]
         pool_mode = {pool_mode}
         default_pool_size = {pool_size}
         server_round_robin = 1
         max_client_conn = 500
         listen_port = 6432
         unix_socket_dir = {folder}
         auth_type = any
         "
    )
    .lines()
    .map(|line| format!("{}\n", line.trim()))
    .collect()
}
