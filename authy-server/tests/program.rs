//! The program as it is used: started in an empty folder, given commands, killed, and used as the documents say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

#[path = "program/commands.rs"]
mod commands;

#[path = "program/doctor.rs"]
mod doctor;

#[path = "program/documents.rs"]
mod documents;

#[path = "program/import.rs"]
mod import;

#[path = "program/operator.rs"]
mod operator;

#[path = "program/log.rs"]
mod log;

#[path = "program/mail.rs"]
mod mail;

#[cfg(target_os = "linux")]
#[path = "program/memory.rs"]
mod memory;

#[path = "program/secrecy.rs"]
mod secrecy;

#[path = "program/settings.rs"]
mod settings;

#[path = "program/signals.rs"]
mod signals;

#[path = "program/start.rs"]
mod start;

#[path = "program/version.rs"]
mod version;

const PASSWORD: &str = "tangerine-lighthouse-42";

/// A folder to start in. Where root runs the tests, PostgreSQL's own user has to get in.
fn folder() -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("authy-program-").permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755));
    builder.tempdir().unwrap()
}

fn authy(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AUTHY_")) {
        if name != "AUTHY_PG_BIN" {
            command.env_remove(name);
        }
    }
    command.env("AUTHY_ARGON2", "m=8,t=1,p=1");
    // There is no load balancer that has to notice the end of a server.
    command.env("AUTHY_STOP_DELAY", "0s");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    authy(folder, arguments).output().unwrap()
}

fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

/// Waits for something to be there.
fn until<T>(what: &str, found: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match found() {
            Some(found) => return found,
            None => assert!(Instant::now() < deadline, "timed out waiting until {what}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A server that runs, and what it printed until it listened.
struct ServerProgram {
    child: Child,
    banner: Vec<String>,
}

impl ServerProgram {
    fn start(folder: &Path) -> Self {
        Self::with(&mut authy(folder, &["--listen", "127.0.0.1:0"]))
    }

    fn with(command: &mut Command) -> Self {
        Self::with_log(command, Stdio::null())
    }

    fn with_log(command: &mut Command, log: impl Into<Stdio>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut banner = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            banner.push(line.unwrap());
            if banner.last().is_some_and(|line| line.starts_with("listening on ")) {
                return Self { child, banner };
            }
        }
        panic!("the server ended: {:?} {banner:?}", child.wait());
    }

    fn url(&self) -> &str {
        self.banner.last().unwrap().strip_prefix("listening on ").unwrap()
    }

    /// Where a browser reaches it.
    fn page_url(&self) -> &str {
        let open = self.banner.iter().find_map(|line| line.strip_prefix("open "));
        open.unwrap().strip_suffix("/authy/ui").unwrap()
    }

    /// The first administrator's password.
    fn password(&self) -> Option<&str> {
        self.banner
            .iter()
            .find_map(|line| line.split_once("password (shown this once): "))
            .map(|(_, password)| password)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ends(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status,
                None => assert!(Instant::now() < deadline, "the server does not end"),
            }
            thread::yield_now();
        }
    }

    fn curl(&self, arguments: &[&str]) -> String {
        let output = Command::new("curl").args(["-sS", "-m", "10"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn sign_up(&self, username: &str) {
        let email = format!("{username}@example.org");
        let body = serde_json::json!({
            "username": username, "email": email, "password": PASSWORD, "confirm_password": PASSWORD
        });
        let url = format!("{}/authy/user", self.url());
        let said = self.curl(&[&url, "-H", "content-type: application/json", "-d", &body.to_string()]);
        assert!(said.contains("public_id"), "{said}");
    }

    fn log_in(&self, username: &str, password: &str) -> String {
        let body = serde_json::json!({ "username": username, "password": password }).to_string();
        self.curl(&[&format!("{}/authy/login", self.url()), "-H", "content-type: application/json", "-d", &body])
    }
}

impl Drop for ServerProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn started_with_nothing_it_prints_the_administrators_password_once() {
    let folder = folder();
    let mut server = ServerProgram::start(folder.path());
    let password = server.password().expect("no password").to_owned();
    assert!(server.log_in("admin", &password).contains("\"token\""));
    server.signal(Signal::TERM);
    assert!(server.ends().success());
    let again = ServerProgram::start(folder.path());
    assert_eq!(again.password(), None);
    assert!(again.log_in("admin", &password).contains("\"token\""));
}

#[test]
fn killed_it_starts_again_with_everything_that_was_acknowledged() {
    let folder = folder();
    let mut server = ServerProgram::start(folder.path());
    let password = server.password().unwrap().to_owned();
    for _ in 0..2 {
        assert!(server.log_in("admin", &password).contains("\"token\""));
        server.signal(Signal::KILL);
        server.ends();
        server = ServerProgram::start(folder.path());
    }
    assert!(server.log_in("admin", &password).contains("\"token\""));
}

#[test]
fn a_second_server_on_the_same_folder_or_address_is_refused() {
    let folder = folder();
    let server = ServerProgram::start(folder.path());
    let error = fails(folder.path(), &["--listen", "127.0.0.1:0"]);
    assert!(error.contains("in use by another program"), "{error}");
    let address = server.url().strip_prefix("http://").unwrap();
    let error = fails(folder.path(), &["--listen", address]);
    assert!(error.contains("cannot listen on") && error.contains("AUTHY_LISTEN"), "{error}");
}

#[test]
fn commands_work_beside_a_server_that_runs_and_without_one() {
    let folder = folder();
    for command in [&["role", "list"][..], &["migrate"], &["user", "delete", "--username", "grace"]] {
        let error = fails(folder.path(), command);
        assert!(error.contains("there is no database in ./.authy") && error.contains("AUTHY_DATA_DIR"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{command:?} created something");
    }
    let mut first = ServerProgram::start(folder.path());
    first.signal(Signal::TERM);
    assert!(first.ends().success());
    let create = |password: &str, arguments: &[&str]| {
        let mut child = authy(folder.path(), &["user", "create", "--password-stdin", "--username", "grace"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        child.wait_with_output().unwrap()
    };
    let weak = create("password1", &["--email", "grace@example.org", "--role", "admin"]);
    assert!(!weak.status.success() && text(&weak.stderr).contains("too easy to guess"), "{}", text(&weak.stderr));
    let made = create(PASSWORD, &["--email", "grace@example.org", "--role", "admin"]);
    assert!(made.status.success(), "{}", text(&made.stderr));

    let server = ServerProgram::start(folder.path());
    assert_eq!(server.password(), None, "there is an administrator");
    assert!(server.log_in("grace", PASSWORD).contains("\"token\""));
    let path = folder.path();
    succeeds(path, &["role", "create", "--name", "auctioneer", "--description", "Opens auctions", "--level", "7"]);
    assert!(succeeds(path, &["role", "list"]).contains("    7  auctioneer"));
    succeeds(path, &["user", "grant", "--username", "grace", "--role", "auctioneer"]);
    assert!(
        fails(path, &["user", "grant", "--username", "grace", "--role", "auctioneer"]).contains("already_assigned")
    );
    succeeds(path, &["user", "revoke", "--username", "GRACE", "--role", "auctioneer"]);
    succeeds(path, &["role", "delete", "--name", "auctioneer"]);
    assert!(succeeds(path, &["key", "list"]).contains("active"));
    let trail = succeeds(path, &["event", "list", "--kind", "role.granted"]);
    assert!(trail.lines().count() == 1 && trail.contains("by operator {\"role\":\"auctioneer\"}"), "{trail}");
    assert_eq!(succeeds(path, &["event", "list", "--stuck"]), "");
    assert!(succeeds(path, &["event", "sinks"]).contains("mail"));
    assert!(fails(path, &["event", "list", "--kind", "no.such"]).contains("is not a kind of event"));
    let nothing = ["event", "skip", "--sink", "x", "0198a0f0-0000-7000-8000-000000000000"];
    assert!(fails(path, &nothing).contains("no such event is stuck"));
    assert!(succeeds(path, &["migrate"]).contains("the schema is at version"));
    assert!(fails(path, &["user", "delete", "--username", "nobody-at-all"]).contains("there is no user"));
    succeeds(path, &["user", "delete", "--username", "grace"]);
    assert!(server.log_in("grace", PASSWORD).contains("invalid_credentials"));
}

#[test]
fn invalid_settings_are_all_reported_at_once_and_nothing_starts() {
    let folder = folder();
    let output = authy(folder.path(), &["--access-ttl", "soon"]).env("AUTHY_LISSTEN", "x").output().unwrap();
    let error = text(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("AUTHY_ACCESS_TTL") && error.contains("did you mean AUTHY_LISTEN?"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
    let output = authy(folder.path(), &[]).env("AUTHY_DATABASE_URL", "postgresql://localhost/x").output().unwrap();
    assert!(text(&output.stderr).contains("a master key is required"), "{}", text(&output.stderr));
    let wrong = authy(folder.path(), &["--webhook-url", "ftp://a"]).env("AUTHY_WEBHOOK_SECRET", "hunter2").output();
    let error = text(&wrong.unwrap().stderr);
    assert!(error.contains("AUTHY_WEBHOOK_URL (from a flag) must be an http or https URL"), "{error}");
    assert!(
        error.contains("AUTHY_WEBHOOK_SECRET") && error.contains("openssl") && !error.contains("hunter2"),
        "{error}"
    );
    let error = fails(folder.path(), &["--webhook-url", "https://details.example/", "--listen", "127.0.0.1:0"]);
    assert!(error.contains("a secret is required"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
    assert!(succeeds(folder.path(), &["config", "--audience", "shop"]).contains("shop    # a flag"));
    assert!(fails(folder.path(), &["no-such-command"]).contains("unrecognized"));
    let document: serde_json::Value = serde_json::from_str(&succeeds(folder.path(), &["openapi"])).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn whether_a_server_answers_is_asked_without_any_other_program() {
    let folder = folder();
    let mut server = ServerProgram::start(folder.path());
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let ask = ["health", "--listen", &address];
    assert_eq!(succeeds(folder.path(), &ask), format!("{address} answers\n"));
    server.signal(Signal::TERM);
    server.ends();
    assert!(fails(folder.path(), &ask).contains("cannot be reached"));
    // One listener that does not answer, and one that does.
    let silent_listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ask = |listener: &TcpListener| {
        fails(folder.path(), &["health", "--listen", &listener.local_addr().unwrap().to_string()])
    };
    assert!(ask(&silent_listener).contains("did not answer in time"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = listener.accept().unwrap().0;
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        ask(&listener)
    });
    assert!(error.contains("answered 404"), "{error}");
    assert!(fails(folder.path(), &["health", "--listen", "127.0.0.1:0"]).contains("port 0"));
}

#[test]
fn a_stopped_server_answers_the_requests_it_has_begun() {
    let folder = folder();
    let mut server = ServerProgram::start(folder.path());
    let mut stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
    let body = r#"{"username":"nobody","password":"x"}"#;
    let head = "POST /authy/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nexpect: 100-continue";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
    // The server asks for the body: it is in the middle of the request.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    server.signal(Signal::TERM);
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("invalid_credentials"), "{answer}");
    assert!(server.ends().success());
}

#[test]
fn a_broker_that_is_away_delays_nothing_and_its_password_is_not_logged() {
    let folder = folder();
    let log = folder.path().join("log");
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0", "--log", "trace"]);
    command.env("AUTHY_AMQP_URL", "amqp://authy:hunter2@127.0.0.1:1");
    let mut server = ServerProgram::with_log(&mut command, fs::File::create(&log).unwrap());
    // The first administrator is an event already.
    let logged = || fs::read_to_string(&log).unwrap();
    until("the log says so", || logged().contains("RabbitMQ cannot be reached").then_some(()));
    server.log_in("admin", server.password().unwrap());
    server.signal(Signal::TERM);
    assert!(server.ends().success());
    assert!(!logged().contains("hunter2"));

    let refused = authy(folder.path(), &[]).env("AUTHY_AMQP_URL", "http://authy:hunter2@mq").output().unwrap();
    let said = text(&refused.stderr);
    assert!(!refused.status.success() && said.contains("AUTHY_AMQP_URL") && !said.contains("hunter2"), "{said}");
}
