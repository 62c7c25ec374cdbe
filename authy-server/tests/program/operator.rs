//! Commands of an operator: restoring and erasing accounts, reset links, the audit trail, and stuck deliveries.

use std::sync::mpsc::{Receiver, channel};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::*;

const NEW_PASSWORD: &str = "carousel-marmalade-58";

fn reset(server: &ServerProgram, code: &str) -> String {
    let body = serde_json::json!({ "code": code, "password": NEW_PASSWORD, "confirm_password": NEW_PASSWORD });
    let url = format!("{}/authy/password/reset", server.url());
    server.curl(&[&url, "-H", "content-type: application/json", "-d", &body.to_string()])
}

#[test]
fn an_account_is_reset_deleted_restored_and_erased() {
    let folder = folder();
    let (path, server) = (folder.path(), ServerProgram::start(folder.path()));
    server.sign_up("ada");
    let page = "https://shop.example/reset?code={code}";
    let link = succeeds(path, &["--reset-url", page, "user", "reset-link", "--username", "ada"]);
    let code = link.trim().strip_prefix("https://shop.example/reset?code=").expect("a link");
    assert_eq!(reset(&server, code), "");
    assert!(reset(&server, code).contains("not_found"), "it works once");
    assert!(server.log_in("ada", NEW_PASSWORD).contains("\"token\""));
    let alone = succeeds(path, &["--ui", "false", "user", "reset-link", "--username", "ada"]);
    let page = succeeds(path, &["--public-url", "https://a.example", "user", "reset-link", "--username", "ada"]);
    let code = page.trim().strip_prefix("https://a.example/authy/ui/reset/").expect("the page of the server");
    assert_eq!(alone.trim().len(), code.len(), "without pages it is the code alone");
    succeeds(path, &["user", "delete", "--username", "ada"]);
    assert!(reset(&server, code).contains("not_found"), "a deletion revokes it");

    let id = succeeds(path, &["event", "list", "--kind", "user.deleted"]);
    let id = id.split(" of ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(server.log_in("ada", NEW_PASSWORD).contains("invalid_credentials"));
    succeeds(path, &["user", "restore", "--public-id", id]);
    assert!(fails(path, &["user", "restore", "--public-id", id]).contains("was not deleted"));
    assert!(server.log_in("ada", NEW_PASSWORD).contains("\"token\""));
    succeeds(path, &["user", "erase", "--public-id", id]);
    assert!(fails(path, &["user", "restore", "--public-id", id]).contains("was erased"));
    assert!(server.log_in("ada", NEW_PASSWORD).contains("invalid_credentials"));
    assert!(fails(path, &["user", "reset-link", "--username", "ada"]).contains("there is no user"));
}

#[test]
fn a_master_key_is_replaced_and_the_old_one_can_be_removed() {
    let folder = folder();
    let (path, file) = (folder.path(), folder.path().join(".authy/master.key"));
    let server = ServerProgram::start(path);
    let password = server.password().unwrap().to_owned();
    drop(server);
    let old = fs::read_to_string(&file).unwrap();
    let new = BASE64_STANDARD.encode(std::array::from_fn::<u8, 32, _>(|number| number as u8));
    fs::write(&file, format!("{new},{}", old.trim())).unwrap();

    let server = ServerProgram::start(path);
    let printed = succeeds(path, &["key", "reseal"]);
    assert!(printed.contains("now: 1\n") && printed.contains("until their owners log in: 1;"), "{printed}");
    assert!(server.log_in("admin", &password).contains("\"token\""));
    let printed = succeeds(path, &["key", "reseal"]);
    assert!(printed.contains("now: 0\n") && printed.contains("it can be removed"), "{printed}");
    drop(server);

    fs::write(&file, new).unwrap();
    let server = ServerProgram::start(path);
    assert!(server.log_in("admin", &password).contains("\"token\""));
}

#[test]
fn after_a_restore_everybody_is_logged_out_by_one_command() {
    let folder = folder();
    let (path, server) = (folder.path(), ServerProgram::start(folder.path()));
    let password = server.password().unwrap();
    for (command, done) in [(&["session", "end", "--all"][..], "1 sessions have ended"), (&["recover"], "is revoked")] {
        let token = server.log_in("admin", password);
        let token: serde_json::Value = serde_json::from_str(&token).unwrap();
        let header = format!("authorization: Bearer {}", token["token"].as_str().unwrap());
        let url = format!("{}/authy/user", server.url());
        assert!(server.curl(&[&url, "-H", &header]).contains("admin"));
        // Nobody is there to be asked.
        assert!(fails(path, command).contains("Confirm that with --yes"));
        assert!(server.curl(&[&url, "-H", &header]).contains("admin"));
        let printed = succeeds(path, &[command, &["--yes"]].concat());
        assert!(printed.contains(done), "{printed}");
        until("the token is refused", || server.curl(&[&url, "-H", &header]).contains("invalid_token").then_some(()));
    }
}

#[test]
fn a_user_who_is_created_without_a_password_is_invited() {
    let folder = folder();
    let (path, server) = (folder.path(), ServerProgram::start(folder.path()));
    let create = ["user", "create", "--username", "bob", "--email", "bob@example.org"];
    let printed = succeeds(path, &create);
    assert!(
        printed.contains("is bob, with the role user") && printed.contains("mailed to bob@example.org"),
        "{printed}"
    );
    let is_invitation = |entry: &fs::DirEntry| entry.file_name().to_str().unwrap().ends_with(".invitation.eml");
    let mail = until("the invitation is there", || {
        let mut mails = fs::read_dir(path.join(".authy/mail")).ok()?.map(|entry| entry.unwrap());
        mails.find(is_invitation).map(|entry| fs::read_to_string(entry.path()).unwrap())
    });
    assert!(mail.contains("To: bob@example.org\r\n") && mail.contains("Its username is bob."), "{mail}");
    assert!(server.log_in("bob", NEW_PASSWORD).contains("invalid_credentials"));
    let code = succeeds(path, &["--ui", "false", "user", "reset-link", "--username", "bob"]);
    assert_eq!(reset(&server, code.trim()), "");
    assert!(server.log_in("bob", NEW_PASSWORD).contains("\"token\""));
    let refused =
        fails(path, &["user", "create", "--username", "eve", "--email", "eve@example.org", "--role", "picker"]);
    assert!(refused.contains("there is no such role"), "{refused}");
}

/// A command that goes on, and what it prints.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = authy(folder, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(20)).expect("nothing more is printed")
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes to the database of the server that runs in a folder.
pub(super) fn write(folder: &Path, sql: &str) {
    let config = authy_postgres::running(&folder.join(".authy")).expect("no database runs");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::select! {
            done = client.batch_execute(sql) => done.unwrap(),
            ended = connection => panic!("the database is gone: {ended:?}"),
        }
    });
}

#[test]
fn every_event_is_printed_as_it_happens_and_once() {
    let folder = folder();
    let server = ServerProgram::start(folder.path());
    server.sign_up("before");
    let tail = Tail::start(folder.path(), &["event", "tail", "--kind", "session.opened"]);
    // It prints what happens after its first look, whenever that is.
    let first = until("it has begun", || {
        assert!(server.log_in("before", PASSWORD).contains("\"token\""));
        tail.lines.recv_timeout(Duration::from_millis(700)).ok()
    });
    assert!(first.contains("session.opened of "), "{first}");
    while tail.lines.recv_timeout(Duration::from_secs(2)).is_ok() {}
    // More than one page of them at once, as another instance writes them.
    write(
        folder.path(),
        "INSERT INTO authy.event (event_id, kind, origin)
         SELECT gen_random_uuid(), 'session.opened', 'operator' FROM generate_series(1, 250)",
    );
    let mut ids: Vec<String> = (0..250).map(|_| tail.next()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 250);
    assert!(tail.lines.recv_timeout(Duration::from_secs(2)).is_err(), "something was printed twice");
}

#[test]
fn what_is_stuck_is_shown_tried_again_and_given_up() {
    let folder = folder();
    let path = folder.path();
    let mut command = authy(path, &["--listen", "127.0.0.1:0"]);
    // No server listens.
    command.env("AUTHY_WEBHOOK_URL", "http://127.0.0.1:1/");
    command.env("AUTHY_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let server = ServerProgram::with(&mut command);
    server.sign_up("ada");
    let stuck = || succeeds(path, &["event", "list", "--stuck"]);
    let line = until("it is stuck", || Some(stuck()).filter(|stuck| stuck.contains("webhook")));
    assert!(line.contains("user.registered of ") && line.contains("next attempt"), "{line}");
    let event = line.split(' ').next().unwrap();
    assert!(succeeds(path, &["event", "retry", "--sink", "webhook", event]).contains("again"));
    assert!(succeeds(path, &["event", "skip", "--sink", "webhook", event]).contains("not handed to webhook any more"));
    assert!(stuck().contains("given up"), "{}", stuck());
    assert!(fails(path, &["event", "skip", "--sink", "webhook", event]).contains("no such event is stuck"));
    assert!(succeeds(path, &["event", "retry", "--sink", "webhook", event]).contains("again"));
    assert!(succeeds(path, &["event", "list", "--kind", "delivery.skipped"]).contains(event));
    assert!(succeeds(path, &["event", "skip", "--sink", "webhook", event]).contains("not handed to webhook any more"));
    let listed = |arguments: &[&str]| succeeds(path, &[&["event", "list", "--stuck"], arguments].concat());
    assert!(listed(&["--given-up", "--sink", "webhook"]).contains(event));
    assert!(!listed(&["--given-up", "--sink", "mail"]).contains(event));
    assert!(succeeds(path, &["event", "sinks"]).contains("1 given up"));
    assert!(succeeds(path, &["event", "dismiss", "--sink", "webhook", event]).contains("dismissed"));
    assert!(
        !stuck().contains(event) && fails(path, &["event", "dismiss", "--sink", "webhook", event]).contains("stuck")
    );
    assert!(succeeds(path, &["event", "retry", "--sink", "webhook", event]).contains("again"));
    assert!(succeeds(path, &["event", "skip", "--sink", "webhook", event]).contains("not handed to webhook any more"));
    assert!(succeeds(path, &["event", "dismiss", "--sink", "webhook", "--all"]).contains("1 deliveries"));
    assert!(succeeds(path, &["event", "sinks"]).contains("0 given up"));
}

#[test]
fn events_are_lines_in_the_log_where_that_is_asked_for() {
    let folder = folder();
    let log = folder.path().join("log");
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0", "--log-events", "true"]);
    let server = ServerProgram::with_log(&mut command, fs::File::create(&log).unwrap());
    server.sign_up("ada");
    let line = until("it is in the log", || {
        let log = fs::read_to_string(&log).unwrap();
        log.lines().find(|line| line.contains("user.registered") && line.contains("anonymous")).map(str::to_owned)
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["kind"], "user.registered");
    assert_eq!((&line["actor_kind"], &line["ip"]), (&"anonymous".into(), &"127.0.0.1".into()));
    assert!(!line.to_string().contains(PASSWORD));
}
