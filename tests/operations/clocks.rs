//! Clocks that jump: a process whose wall clock is moved while it runs, by libfaketime. Its monotonic clock goes on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use authy_client::Client;
use authy_core::{ErrorKind, Secret, engine::MasterKeys};
use authy_tests::{SERVER_PROCESS_ISSUER, TestApp, TestUser, credentials, database, until};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::Instant,
};
use tokio_postgres::config::Host;

/// Longer than the time between two polls, and than that between two events of a stream.
const A_WHILE: Duration = Duration::from_millis(1500);

/// A process with a clock of its own.
struct Process {
    _child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    log: Arc<Mutex<String>>,
    clock: PathBuf,
}

impl Process {
    /// Starts one. Returns the line that it prints when it is ready.
    async fn start(folder: &Path, name: &str, keys: &MasterKeys, arguments: &[&str]) -> (Self, String) {
        let clock = folder.join(format!("{name}.clock"));
        set(&clock, 0);
        let library = "/usr/$LIB/faketime/libfaketime.so.1";
        let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server-process"));
        command.args(arguments).env("SERVER_PROCESS_MASTER_KEY", &**keys.to_base64()).env("SERVER_PROCESS_LOG", "1");
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (stdin, log) = (child.stdin.take().unwrap(), Arc::<Mutex<String>>::default());
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                written.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = stdout.next_line().await.unwrap();
        let ready = ready.unwrap_or_else(|| panic!("it did not start: {}", log.lock().unwrap()));
        (Self { _child: child, stdin, stdout, log, clock }, ready)
    }

    /// Moves its clock to so many seconds ahead of the time.
    fn set_clock(&self, ahead: i64) {
        set(&self.clock, ahead);
    }

    fn has_logged(&self, text: &str) -> bool {
        self.log.lock().unwrap().contains(text)
    }

    /// What a verifier says to a token.
    async fn verdict(&mut self, token: &Secret) -> String {
        self.stdin.write_all(format!("{}\n", token.expose()).as_bytes()).await.unwrap();
        self.stdout.next_line().await.unwrap().unwrap()
    }
}

/// Written beside and renamed, because it is read at any time.
fn set(clock: &Path, ahead: i64) {
    let beside = clock.with_extension("next");
    fs::write(&beside, format!("{ahead:+}s\n")).unwrap();
    fs::rename(beside, clock).unwrap();
}

/// A server whose clock is right, and one on the same database whose clock can be moved.
async fn servers(folder: &Path) -> (TestApp, Process, Client) {
    let (config, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    let app =
        TestApp::on(config.clone(), keys.clone(), |config, _| config.issuer = Some(SERVER_PROCESS_ISSUER.into())).await;
    let [Host::Unix(socket)] = config.get_hosts() else { panic!("no socket") };
    let (user, name) = (config.get_user().unwrap(), config.get_dbname().unwrap());
    let database = format!("host={} user={user} dbname={name}", socket.display());
    let record = folder.join("record");
    let arguments = [&database, record.to_str().unwrap(), "stream", "threaded"];
    let (process, ready) = Process::start(folder, "server", &keys, &arguments).await;
    let address = ready.strip_prefix("listening on ").unwrap();
    (app, process, Client::builder(&format!("http://{address}")).retries(0).build().unwrap())
}

/// What a server says to a token.
async fn verdict(server: &Client, user: &TestUser) -> Result<(), ErrorKind> {
    let checked = server.with_token(user.token.clone()).check_access(authy_core::Level::clamped(99_999)).await;
    checked.map(drop).map_err(|error| error.kind().unwrap())
}

const REVOKED: Result<(), ErrorKind> = Err(ErrorKind::InvalidToken);
const UNKNOWN: Result<(), ErrorKind> = Err(ErrorKind::Unavailable);

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_command_whose_clock_is_behind_dismisses_what_was_just_given_up() {
    let app = TestApp::new().await;
    let cursor = "INSERT INTO authy.event_cursor (sink, epoch, seen)
                  SELECT 'mail', epoch, pg_current_snapshot() FROM authy.event_epoch";
    let given_up = "INSERT INTO authy.delivery (sink, event_id, happened, state, attempts, next_attempt, changed)
                    VALUES ('mail', gen_random_uuid(), now(), 'given_up', 1, now(), now())";
    for statement in [cursor, given_up] {
        app.sql().await.batch_execute(statement).await.unwrap();
    }
    let [Host::Unix(socket)] = app.database.get_hosts() else { panic!("no socket") };
    let (user, name) = (app.database.get_user().unwrap(), app.database.get_dbname().unwrap());
    let url = format!("postgresql:///{name}?user={user}&host={}", socket.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server-program"));
    command.env_clear().env("AUTHY_DATABASE_URL", url).env("AUTHY_MASTER_KEY", &**app.master_keys.to_base64());
    command.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1").env("FAKETIME", "-3600s");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").args(["event", "dismiss", "--sink", "mail", "--all"]);
    let output = command.output().await.unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("1 deliveries to mail"), "{output:?}");
}

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_server_whose_clock_jumps_ahead_and_back_forgets_no_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let (app, process, server) = servers(folder.path()).await;
    let (revoked, good) = (app.user().await, app.user().await);
    app.anonymous().with_token(revoked.token.clone()).logout().await.unwrap();
    until("it refuses what was revoked", || async { verdict(&server, &revoked).await == REVOKED }).await;
    assert_eq!(verdict(&server, &good).await, Ok(()));

    process.set_clock(3600);
    // It signs nothing with a wrong time, and does not know whether a token has expired.
    until("it does not sign", || async {
        let refused = server.login(credentials(&good.username)).await;
        refused.is_err_and(|error| error.kind() == Some(ErrorKind::Unavailable) && error.retry_after().is_some())
    })
    .await;
    assert_eq!(verdict(&server, &good).await, UNKNOWN);
    assert_eq!(verdict(&server, &revoked).await, UNKNOWN);
    until("it says so", || async { process.has_logged("differs from that of authy's database") }).await;
    tokio::time::sleep(A_WHILE).await;

    process.set_clock(0);
    let back = Instant::now();
    while back.elapsed() < A_WHILE {
        let verdict = verdict(&server, &revoked).await;
        assert!(verdict == REVOKED || verdict == UNKNOWN, "{verdict:?}");
    }
    assert_eq!(verdict(&server, &revoked).await, REVOKED);
    assert_eq!(verdict(&server, &good).await, Ok(()));
    server.login(credentials(&good.username)).await.unwrap();
}

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_verifier_whose_clock_jumps_ahead_and_back_forgets_no_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _process, _) = servers(folder.path()).await;
    let (url, keys) = (app.url(), MasterKeys::generate().unwrap());
    let (mut verifier, _) = Process::start(folder.path(), "verifier", &keys, &["verify", &url]).await;
    let (revoked, good) = (app.user().await, app.user().await);
    app.anonymous().with_token(revoked.token.clone()).logout().await.unwrap();
    while verifier.verdict(&revoked.token).await != "invalid_token" {}
    assert_eq!(verifier.verdict(&good.token).await, "ok");

    verifier.set_clock(3600);
    // It does not know whether a token has expired.
    while verifier.verdict(&good.token).await != "unavailable" {}
    until("it says so", || async { verifier.has_logged("differs from that of authy's database") }).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(verifier.verdict(&good.token).await, "unavailable");

    verifier.set_clock(0);
    let back = Instant::now();
    while back.elapsed() < 2 * A_WHILE {
        assert_ne!(verifier.verdict(&revoked.token).await, "ok");
    }
    assert_eq!(verifier.verdict(&revoked.token).await, "invalid_token");
    assert_eq!(verifier.verdict(&good.token).await, "ok");
}

#[tokio::test]
#[ignore = "operations: make test-operations"]
async fn a_server_whose_clock_is_behind_says_why_it_refuses_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let (app, process, server) = servers(folder.path()).await;
    process.set_clock(-3600);
    let user = app.user().await;
    until("it does not know", || async { verdict(&server, &user).await == UNKNOWN }).await;
    assert!(process.has_logged("issued in the future"));
    process.set_clock(0);
    until("it accepts the token", || async { verdict(&server, &user).await == Ok(()) }).await;
}
