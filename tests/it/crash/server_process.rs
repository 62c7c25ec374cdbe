//! Servers in processes of their own, and how they end.

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
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use tokio_postgres::config::Host;

/// What the servers of one test share: a database, a master key, and the file of their sink.
#[derive(Clone)]
pub(crate) struct Environment {
    pub(crate) database: tokio_postgres::Config,
    /// A connection of the test's own.
    pub(crate) sql: Arc<tokio_postgres::Client>,
    pub(crate) keys: MasterKeys,
    pub(crate) record: PathBuf,
    pub(crate) pace: &'static str,
}

pub(crate) struct ServerProcess {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    name: String,
    environment: Environment,
    /// Without retries, and without a token.
    pub(crate) client: Client,
    /// Where it listens.
    pub(crate) address: String,
}

impl ServerProcess {
    /// Starts one on a single thread, whose every run is the same.
    pub(super) async fn start(environment: &Environment) -> Self {
        Self::launch(environment, "deterministic", &[])
            .await
            .unwrap_or_else(|(how, _)| panic!("it was killed at start: {how}"))
    }

    /// Starts one on several threads, as servers are.
    pub(crate) async fn start_threaded(environment: &Environment) -> Self {
        Self::launch(environment, "threaded", &[])
            .await
            .unwrap_or_else(|(how, _)| panic!("it was killed at start: {how}"))
    }

    /// Starts one that is killed at the n-th step of delivery, counted from its start. Returns the step.
    pub(super) async fn killed_while_delivering(environment: &Environment, nth: u64) -> String {
        match Self::launch(environment, "deterministic", &["relay", &nth.to_string()]).await {
            Ok(server) => server.until_killed().await,
            Err((how, name)) => {
                gone(environment, &name).await;
                how
            }
        }
    }

    async fn launch(environment: &Environment, threads: &str, kill_at: &[&str]) -> Result<Self, (String, String)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("server-process-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server-process"));
        command
            .arg(url(&environment.database, &name))
            .arg(&environment.record)
            .args([environment.pace, threads])
            .args(kill_at);
        command.env("SERVER_PROCESS_MASTER_KEY", &**environment.keys.to_base64()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(line) = stdout.next_line().await.unwrap() else {
            return Err((exit_output(child).await, name));
        };
        let address = line.trim_start_matches("listening on ").to_owned();
        let client = Client::builder(&format!("http://{address}")).retries(0).build().unwrap();
        Ok(Self { child, stdin, stdout, name, environment: environment.clone(), client, address })
    }

    /// Has it killed at the n-th step of the next request.
    pub(super) async fn arm(&mut self, nth: u64) {
        self.stdin.write_all(format!("request {nth}\n").as_bytes()).await.unwrap();
        assert_eq!(self.stdout.next_line().await.unwrap().as_deref(), Some("armed"));
    }

    /// Sends it a signal.
    #[allow(dead_code, reason = "tests/operations freezes servers")]
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The `application_name` of its connections.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Kills it. Returns what it wrote to standard error.
    pub(crate) async fn kill(mut self) -> String {
        self.child.start_kill().unwrap();
        self.until_killed().await
    }

    /// Waits until it has been killed and PostgreSQL has ended its transactions. Returns the step at which it was
    /// killed.
    pub(super) async fn until_killed(self) -> String {
        let Self { child, stdin, stdout, name, environment, client: _, address: _ } = self;
        let how = exit_output(child).await;
        drop((stdin, stdout));
        gone(&environment, &name).await;
        how
    }
}

async fn exit_output(mut child: Child) -> String {
    let mut output = String::new();
    child.stderr.take().unwrap().read_to_string(&mut output).await.unwrap();
    let status = child.wait().await.unwrap();
    assert_eq!(status.signal(), Some(9), "it was not killed: {status} {output}");
    output.trim().to_owned()
}

async fn gone(environment: &Environment, name: &str) {
    until("PostgreSQL has closed its connections", || async {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        environment.sql.query_one(query, &[&name]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

fn url(config: &tokio_postgres::Config, name: &str) -> String {
    let [Host::Unix(folder)] = config.get_hosts() else { panic!("no socket") };
    let (folder, user): (&Path, _) = (folder, config.get_user().unwrap());
    format!("host={} user={user} dbname={} application_name={name}", folder.display(), config.get_dbname().unwrap())
}
