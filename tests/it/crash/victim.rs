//! Servers that are processes of their own, and how they end.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use authy_client::Client;
use authy_core::engine::MasterKeys;
use authy_tests::until;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use tokio_postgres::config::Host;

/// Where victims live: a database, a master key, a sink.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) database: tokio_postgres::Config,
    /// A connection of one who lives.
    pub(crate) sql: Arc<tokio_postgres::Client>,
    pub(crate) keys: MasterKeys,
    pub(crate) ledger: PathBuf,
    pub(crate) pace: &'static str,
}

pub(crate) struct Victim {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    /// What its connections are called.
    pub(super) name: String,
    site: Site,
    /// Without retries, and without a token.
    pub(crate) client: Client,
    /// Where it listens.
    pub(crate) address: String,
}

impl Victim {
    /// One whose every run is the same.
    pub(super) async fn start(site: &Site) -> Self {
        Self::launch(site, "deterministic", &[]).await.unwrap_or_else(|(how, _)| panic!("it died at start: {how}"))
    }

    /// One as servers are, with several threads.
    pub(crate) async fn start_threaded(site: &Site) -> Self {
        Self::launch(site, "threaded", &[]).await.unwrap_or_else(|(how, _)| panic!("it died at start: {how}"))
    }

    /// One that dies at the n-th step of telling its sink, counted from its start; where it died.
    pub(super) async fn dies_telling(site: &Site, nth: u64) -> String {
        match Self::launch(site, "deterministic", &["relay", &nth.to_string()]).await {
            Ok(victim) => victim.dies().await,
            Err((how, name)) => {
                gone(site, &name).await;
                how
            }
        }
    }

    async fn launch(site: &Site, threads: &str, fate: &[&str]) -> Result<Self, (String, String)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("victim-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new(env!("CARGO_BIN_EXE_authy-victim"));
        command.arg(url(&site.database, &name)).arg(&site.ledger).args([site.pace, threads]).args(fate);
        command.env("VICTIM_KEY", &**site.keys.to_base64()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(line) = stdout.next_line().await.unwrap() else {
            return Err((last_words(child).await, name));
        };
        let address = line.trim_start_matches("listening on ").to_owned();
        let client = Client::builder(&format!("http://{address}")).retries(0).build().unwrap();
        Ok(Self { child, stdin, stdout, name, site: site.clone(), client, address })
    }

    /// Has it die at the n-th step of what it is asked next.
    pub(super) async fn arm(&mut self, nth: u64) {
        self.stdin.write_all(format!("request {nth}\n").as_bytes()).await.unwrap();
        assert_eq!(self.stdout.next_line().await.unwrap().as_deref(), Some("armed"));
    }

    /// Kills it. What it wrote to standard error.
    pub(crate) async fn kill(mut self) -> String {
        self.child.start_kill().unwrap();
        self.dies().await
    }

    /// Waits until it has died, and PostgreSQL has noticed: what it had begun is over. Where it died.
    pub(super) async fn dies(self) -> String {
        let Self { child, stdin, stdout, name, site, client: _, address: _ } = self;
        let how = last_words(child).await;
        drop((stdin, stdout));
        gone(&site, &name).await;
        how
    }
}

async fn last_words(mut child: Child) -> String {
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).await.unwrap();
    let status = child.wait().await.unwrap();
    assert_eq!(status.signal(), Some(9), "it was not killed: {status} {words}");
    words.trim().to_owned()
}

async fn gone(site: &Site, name: &str) {
    until("PostgreSQL has noticed the death", || async {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        site.sql.query_one(query, &[&name]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

fn url(config: &tokio_postgres::Config, name: &str) -> String {
    let [Host::Unix(folder)] = config.get_hosts() else { panic!("no socket") };
    let (folder, user): (&Path, _) = (folder, config.get_user().unwrap());
    format!("host={} user={user} dbname={} application_name={name}", folder.display(), config.get_dbname().unwrap())
}
