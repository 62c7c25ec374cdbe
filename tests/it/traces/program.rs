//! The program in a process of its own, because tracer providers and OpenTelemetry's variables are those of a process.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use authy_core::engine::MasterKeys;
use authy_tests::database;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::config::Host;

/// The program, which runs.
pub(super) struct Program {
    pub(super) address: SocketAddr,
    child: Child,
    log: JoinHandle<String>,
}

impl Program {
    /// Starts it with a database of its own and these variables.
    pub(super) async fn start(variables: &[(&str, &str)]) -> Self {
        let config = database::fresh().await;
        let [Host::Unix(socket)] = config.get_hosts() else { panic!("no socket") };
        let (user, name) = (config.get_user().unwrap(), config.get_dbname().unwrap());
        let url = format!("postgresql:///{name}?user={user}&host={}", socket.display());
        let mut child = command(variables).env("AUTHY_DATABASE_URL", url).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            stderr.read_to_string(&mut log).await.unwrap();
            log
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(address) = line.strip_prefix("listening on http://") {
                    return Some(address.parse().unwrap());
                }
            }
            None
        };
        match timeout(Duration::from_secs(60), listening).await.unwrap() {
            Some(address) => Self { address, child, log },
            None => panic!("it does not start: {}", log.await.unwrap()),
        }
    }

    /// Stops it in order, and returns its log.
    pub(super) async fn stop(mut self) -> String {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let ended = timeout(Duration::from_secs(60), self.child.wait()).await.expect("it does not stop").unwrap();
        let log = self.log.await.unwrap();
        assert!(ended.success(), "{log}");
        log
    }

    /// Starts it with variables that it refuses, and returns what it says.
    pub(super) async fn refused(variables: &[(&str, &str)]) -> String {
        // Never asked: the variables are read before.
        let database = "postgresql://authy@127.0.0.1:1/authy";
        let output = command(variables).env("AUTHY_DATABASE_URL", database).output();
        let output = timeout(Duration::from_secs(60), output).await.expect("it goes on").unwrap();
        assert!(!output.status.success(), "{variables:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server-program"));
    command.env_clear().envs([
        ("AUTHY_LISTEN", "127.0.0.1:0"),
        ("AUTHY_MASTER_KEY", &*MasterKeys::generate().unwrap().to_base64()),
        ("AUTHY_ARGON2", "m=8,t=1,p=1"),
        ("AUTHY_STOP_DELAY", "0s"),
        ("AUTHY_ACCESS_LOG", "true"),
        ("AUTHY_LOG_FORMAT", "json"),
    ]);
    for limit in ["LOGIN", "REGISTER", "VALIDATE", "FORGOT", "DEFAULT"] {
        command.env(format!("AUTHY_LIMIT_{limit}"), "off");
    }
    command.envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
