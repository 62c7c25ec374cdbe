//! What an operation costs the database: transactions, write-ahead log, stored bytes, CPU.

use std::{fs, ops::AsyncFnMut, path::PathBuf, time::Duration};

use authy_core::{
    Authenticator as _, Authy, ClientInfo, Secret,
    api::{session::Credentials, session::RefreshToken},
    engine::{Caller, MasterKeys},
};
use authy_postgres::Cluster;

use super::{PASSWORD, cheap, credentials, database, failover::children, fresh_name, new_account, new_user, operator};

/// A PostgreSQL of its own, because the write-ahead log is that of a whole cluster, with an engine whose hashes cost
/// next to nothing.
pub struct Primary {
    /// The engine.
    pub authy: Authy,
    sql: tokio_postgres::Client,
    cluster: Cluster,
    _folder: tempfile::TempDir,
}

/// What one operation costs, on average.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Transactions that write.
    pub commits: f64,
    /// Bytes of write-ahead log, without the images of whole pages that follow a checkpoint.
    pub wal_bytes: f64,
    /// Bytes of tables and indexes, without the audit trail.
    pub stored_bytes: f64,
    /// Bytes of the audit trail.
    pub event_bytes: f64,
    /// CPU time of PostgreSQL.
    pub database_cpu: Duration,
    /// CPU time of this process, which is the server's without its HTTP.
    pub server_cpu: Duration,
}

#[derive(Clone, Copy)]
struct Reading {
    wal_bytes: f64,
    stored_bytes: f64,
    event_bytes: f64,
    database_cpu: Duration,
    server_cpu: Duration,
    commits: f64,
}

/// The operations of [`Primary::measure`].
pub const OPERATIONS: [&str; 6] = ["sign-up", "login", "refused login", "refresh", "logout", "read of a user"];

impl Primary {
    /// Starts it.
    pub async fn start() -> Self {
        let folder = database::folder();
        let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
        let authy = Authy::builder(cluster.config())
            .without_background()
            .master_keys(MasterKeys::generate().unwrap())
            .config(cheap())
            .default_issuer("http://authy.test")
            .start()
            .await
            .unwrap();
        let sql = database::connect(&cluster.config()).await;
        Self { authy, sql, cluster, _folder: folder }
    }

    /// Returns what each of [`OPERATIONS`] costs, with so many users who do each of them once.
    pub async fn measure(&self, users: usize) -> [Cost; OPERATIONS.len()] {
        let sessions = self.authy.sessions();
        let anonymous = Caller::anonymous(ClientInfo::default());
        // The cache of prepared statements and the first pages are not what the millionth user costs.
        for _ in 0..20 {
            let name = fresh_name("first");
            self.authy.users().create(&operator(), new_account(&name, "user")).await.unwrap();
            let tokens = sessions.login(&anonymous, credentials(&name)).await.unwrap();
            sessions.refresh(&anonymous, RefreshToken { refresh_token: tokens.refresh_token }).await.unwrap();
        }
        let names: Vec<_> = (0..users).map(|_| fresh_name("user")).collect();
        let (mut refresh_tokens, mut tokens, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let sign_up = self
            .cost_of(&names, async |name| {
                ids.push(self.authy.users().register(&anonymous, new_user(name)).await.unwrap());
            })
            .await;
        let login = self
            .cost_of(&names, async |name| {
                refresh_tokens.push(sessions.login(&anonymous, credentials(name)).await.unwrap().refresh_token);
            })
            .await;
        let refused = self
            .cost_of(&names, async |name| {
                let wrong = Credentials::new(name, Secret::new(PASSWORD.to_uppercase()));
                sessions.login(&anonymous, wrong).await.unwrap_err();
            })
            .await;
        let refresh = self
            .cost_of(&refresh_tokens, async |token| {
                let refresh_token = token.clone();
                tokens.push(sessions.refresh(&anonymous, RefreshToken { refresh_token }).await.unwrap().token);
            })
            .await;
        let mut callers = Vec::new();
        for token in &tokens {
            let identity = self.authy.authenticate(token.expose()).await.unwrap();
            callers.push(Caller::user(identity, ClientInfo::default()));
        }
        let logout = self.cost_of(&callers, async |caller| sessions.logout(caller).await.unwrap()).await;
        let read = self.cost_of(&ids, async |id| drop(self.authy.users().find(*id).await.unwrap().unwrap())).await;
        [sign_up, login, refused, refresh, logout, read]
    }

    /// Returns the transactions a second and the share of a core that a server costs the database while nothing happens.
    pub async fn idle(&self, length: Duration) -> (f64, f64) {
        let background = self.authy.start_background_with(Vec::new()).await.unwrap();
        // The first seconds read what is there, and an idle connection reports what it has counted after ten.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let before = (self.transactions().await, self.reading().await.database_cpu);
        tokio::time::sleep(length).await;
        let after = (self.transactions().await, self.reading().await.database_cpu);
        drop(background);
        let seconds = length.as_secs_f64();
        ((after.0 - before.0) / seconds, (after.1 - before.1).as_secs_f64() / seconds)
    }

    /// Returns the private memory in bytes of each connection of the engine to the database, on average.
    pub fn connection_bytes(&self) -> f64 {
        let private: Vec<f64> = self.backends().filter_map(|folder| private_bytes(&folder)).collect();
        private.iter().sum::<f64>() / private.len() as f64
    }

    async fn cost_of<T>(&self, subjects: &[T], mut operation: impl AsyncFnMut(&T)) -> Cost {
        let before = self.reading().await;
        for subject in subjects {
            operation(subject).await;
        }
        let after = self.reading().await;
        let number = subjects.len() as f64;
        Cost {
            commits: (after.commits - before.commits) / number,
            wal_bytes: (after.wal_bytes - before.wal_bytes) / number,
            stored_bytes: (after.stored_bytes - before.stored_bytes) / number,
            event_bytes: (after.event_bytes - before.event_bytes) / number,
            database_cpu: (after.database_cpu - before.database_cpu).div_f64(number),
            server_cpu: (after.server_cpu - before.server_cpu).div_f64(number),
        }
    }

    async fn reading(&self) -> Reading {
        // The processes report what they have counted when they are idle for a while, or at once when they are asked to.
        let row = self
            .sql
            .query_one(
                "SELECT (SELECT sum(pg_total_relation_size(c.oid))::float8 FROM pg_class c
                         WHERE relnamespace = 'authy'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'event\\_%'),
                        (SELECT sum(pg_total_relation_size(c.oid))::float8 FROM pg_class c
                         WHERE relnamespace = 'authy'::regnamespace AND relkind = 'r' AND relname LIKE 'event\\_%'),
                        pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8,
                        (pg_snapshot_xmax(pg_current_snapshot())::text)::float8",
                &[],
            )
            .await
            .unwrap();
        Reading {
            stored_bytes: row.get(0),
            event_bytes: row.get(1),
            wal_bytes: row.get(2),
            commits: row.get(3),
            database_cpu: self.backends().filter_map(|folder| cpu(&folder)).sum(),
            server_cpu: cpu(&PathBuf::from("/proc/self")).unwrap_or_default(),
        }
    }

    async fn transactions(&self) -> f64 {
        let counted = "SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()";
        self.sql.query_one(counted, &[]).await.unwrap().get(0)
    }

    fn backends(&self) -> impl Iterator<Item = PathBuf> {
        let processes = children(self.cluster.pid().unwrap());
        processes.into_iter().map(|pid| PathBuf::from(format!("/proc/{pid}")))
    }
}

/// User and system time of a process, by proc(5). Its unit is a hundredth of a second on every Linux.
fn cpu(process: &std::path::Path) -> Option<Duration> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // The name in parentheses may contain spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

/// Private memory of a process in bytes; `None` for one that is not a connection.
fn private_bytes(process: &std::path::Path) -> Option<f64> {
    let command = fs::read_to_string(process.join("cmdline")).ok()?;
    if !command.contains("idle") {
        return None;
    }
    let rollup = fs::read_to_string(process.join("smaps_rollup")).ok()?;
    let kilobytes = |name: &str| -> Option<f64> {
        let line = rollup.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((kilobytes("Private_Dirty:")? + kilobytes("Private_Clean:")?) * 1024.0)
}
