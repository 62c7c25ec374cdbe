//! What is sent: groups of requests whose answers must not be distinguishable by their time.
//!
//! A new class is a line in [`groups`], and what it needs in the app a line in [`TimingFixture::new`].

use std::{
    env,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use authy_core::{
    Secret,
    api::{session::Credentials, user::NewAccount},
};
use authy_tests::{FOREIGN_HASH, FOREIGN_PASSWORD, PASSWORD, TestApp, credentials, new_user, operator};
use tokio_postgres::Client;

/// A request: of many that differ in their names only, so that nothing is in a cache that others are not in.
pub(crate) type Ask = fn(usize) -> String;

pub(crate) struct RequestClass {
    pub(crate) name: &'static str,
    pub(crate) ask: Ask,
}

/// Classes that are compared with each other.
pub(crate) struct RequestGroup {
    pub(crate) name: &'static str,
    /// What all of them are answered.
    pub(crate) status: &'static str,
    pub(crate) classes: Vec<RequestClass>,
}

pub(crate) fn groups() -> Vec<RequestGroup> {
    let class = |name, ask: Ask| RequestClass { name, ask };
    let logins = RequestGroup {
        name: "refused logins",
        status: "401",
        classes: vec![
            class("unknown name", |round| log_in("unknown", round, "wrong")),
            class("wrong password", |round| log_in("known", round, "wrong")),
            class("deleted, wrong password", |round| log_in("deleted", round, "wrong")),
            class("deleted, right password", |round| log_in("deleted", round, PASSWORD)),
            class("slowed, wrong password", |round| log_in("slowed", round, "wrong")),
            class("slowed, right password", |round| log_in("slowed", round, PASSWORD)),
            class("invited, no password yet", |round| log_in("invited", round, "wrong")),
            class("unvalidated, wrong password", |round| log_in("unvalidated", round, "wrong")),
            class("foreign hash, replaced", |round| log_in("foreign", round, "wrong")),
        ],
    };
    let resets = RequestGroup {
        name: "forgotten passwords",
        status: "202",
        classes: vec![
            class("unknown address", |round| forgot("unknown", round)),
            class("known address", |round| forgot("known", round)),
            class("address of a deleted user", |round| forgot("deleted", round)),
        ],
    };
    vec![logins, resets]
}

/// How many accounts a class has.
const ACCOUNTS: usize = 20;

/// An app with every user that the classes need.
pub(crate) struct TimingFixture {
    _app: TestApp,
    sql: Client,
    stream: TcpStream,
}

impl TimingFixture {
    pub(crate) async fn new() -> Self {
        let app = TestApp::with(|config, _| {
            let argon2 = env::var("TIMING_ARGON2").unwrap_or("m=4096,t=1,p=1".to_owned());
            config.hash.argon2 = argon2.parse().unwrap();
            config.require_validated = true;
        });
        let app = app.await;
        let sql = app.sql().await;
        for number in 0..ACCOUNTS {
            for kind in ["known", "deleted", "slowed", "foreign", "unvalidated"] {
                app.anonymous().register(new_user(&format!("{kind}-{number}"))).await.unwrap();
            }
            let invited =
                NewAccount::new(&format!("invited-{number}"), &format!("invited-{number}@example.org")).unwrap();
            app.authy.users().create(&operator(), invited).await.unwrap();
            let deleted = app.authy.users().find_id(&format!("deleted-{number}").parse().unwrap()).await.unwrap();
            app.authy.users().delete(&operator(), deleted.unwrap()).await.unwrap();
            for _ in 0..5 {
                let wrong = Credentials::new(format!("slowed-{number}"), Secret::new("wrong"));
                app.anonymous().login(wrong).await.unwrap_err();
            }
        }
        // The address of all of them is slowed by now, too.
        sql.execute("DELETE FROM authy.throttle WHERE failures > 5", &[]).await.unwrap();
        let validated = "UPDATE authy.users SET validated_at = now() WHERE username NOT LIKE 'unvalidated-%'";
        sql.execute(validated, &[]).await.unwrap();
        // A login replaces it by one of ours.
        let import = "UPDATE authy.password SET phc = $1 FROM authy.users
                      WHERE public_id = user_id AND username LIKE 'foreign-%'";
        sql.execute(import, &[&FOREIGN_HASH]).await.unwrap();
        for number in 0..ACCOUNTS {
            let owner = Credentials::new(format!("foreign-{number}"), Secret::new(FOREIGN_PASSWORD));
            app.anonymous().login(owner).await.unwrap();
            // Every account has earlier events.
            app.anonymous().login(credentials(&format!("known-{number}"))).await.unwrap();
        }
        // Slowed for longer than this takes.
        let slowed = "UPDATE authy.throttle SET counted = clock_timestamp() + interval '1 day' WHERE failures = 5";
        assert_eq!(sql.execute(slowed, &[]).await.unwrap(), ACCOUNTS as u64);
        let stream = TcpStream::connect(app.address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { _app: app, sql, stream }
    }

    /// Forgets what was counted, but of those who are slowed.
    pub(crate) async fn tidy(&self) {
        self.sql.execute("DELETE FROM authy.throttle WHERE counted < clock_timestamp()", &[]).await.unwrap();
    }

    /// The time of an answer, and a longer one.
    pub(crate) fn time(&mut self, ask: &Ask, status: &str, round: usize, longer: Duration) -> Duration {
        let request = ask(round);
        let mut answer = [0; 4096];
        let asked = Instant::now();
        self.stream.write_all(request.as_bytes()).unwrap();
        // An answer this small comes in one piece.
        let length = self.stream.read(&mut answer).unwrap();
        let time = asked.elapsed();
        let text = String::from_utf8_lossy(&answer[..length]);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && text.ends_with('}'), "{text}");
        time + longer
    }
}

fn log_in(kind: &str, round: usize, password: &str) -> String {
    let name = format!("{kind}-{}", round % ACCOUNTS);
    post("/authy/login", &format!(r#"{{"username":"{name}","password":"{password}"}}"#))
}

fn forgot(kind: &str, round: usize) -> String {
    post("/authy/password/forgot", &format!(r#"{{"email":"{kind}-{}@example.org"}}"#, round % ACCOUNTS))
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
