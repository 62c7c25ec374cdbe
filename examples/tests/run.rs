//! Every example, run as its first lines say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

fn example(name: &str) -> Command {
    // Beside the folder of this test: …/deps/run-… and …/examples/….
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let mut command = Command::new(path.join("examples").join(name));
    command.env_remove("DATABASE_URL").stdin(Stdio::null());
    command
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

struct Running {
    child: Child,
    /// What ends it.
    signal: &'static str,
    lines: Vec<String>,
}

impl Running {
    /// Starts a process that any signal ends. Not SIGINT, which a process that was started in the background ignores.
    fn start(command: &mut Command) -> Self {
        Self::ended_by("-TERM", command)
    }

    fn ended_by(signal: &'static str, command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            lines.push(line.unwrap());
            if lines.last().is_some_and(|line| line.starts_with("listening on ")) {
                return Self { child, signal, lines };
            }
        }
        panic!("it ended: {:?} {lines:?}", child.wait());
    }

    fn url(&self) -> &str {
        self.lines.last().unwrap().strip_prefix("listening on ").unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args([self.signal, &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn curl(url: &str, arguments: &[&str]) -> String {
    said(Command::new("curl").args(["-sS", "-m", "10", "-w", " %{http_code}", url]).args(arguments))
}

#[test]
fn embed_signs_up_checks_and_deletes() {
    let said = said(&mut example("embed"));
    assert!(
        said.contains("signed up:") && said.contains("with level 10") && said.contains("no longer valid"),
        "{said}"
    );
}

#[test]
fn guarded_services_say_why_they_refuse() {
    // It listens for that, so that it can clear up.
    let server = Running::ended_by("-INT", example("serve").arg("127.0.0.1:0"));
    let administrator = server.lines.iter().find_map(|line| line.strip_prefix("administrator: ")).unwrap();
    let (name, password) = administrator.split_once(' ').unwrap();
    let body = format!(r#"{{"username":"{name}","password":"{password}"}}"#);
    let login = curl(&format!("{}/authy/login", server.url()), &["-H", "content-type: application/json", "-d", &body]);
    let token = login.split(r#""token":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let bearer = format!("authorization: Bearer {token}");

    let verified = said(example("verify").args([server.url(), &token]));
    assert!(verified.contains("has level 0"), "{verified}");
    let services = ["guarded_service", "axum_service", "hyper_service"]
        .map(|name| Running::start(example(name).arg("127.0.0.1:0").env("AUTHY", server.url())));
    for service in &services {
        let bids = format!("{}/bids", service.url());
        let answer = curl(&bids, &["-H", &bearer]);
        assert!(answer.starts_with("no bids yet, ") && answer.ends_with(" 200"), "{answer}");
        let answer = curl(&bids, &[]);
        assert!(answer.contains("urn:authy:problem:token_required") && answer.ends_with(" 401"), "{answer}");
        let answer = curl(&bids, &["-H", "authorization: Bearer a.b.c"]);
        assert!(answer.contains("urn:authy:problem:invalid_token") && answer.ends_with(" 401"), "{answer}");
    }
    // A role that the administrator does not have: there is power enough, but not this.
    let answer = curl(&format!("{}/auctions", services[1].url()), &["-H", &bearer]);
    assert!(answer.contains("insufficient_level") && answer.ends_with(" 403"), "{answer}");
    drop(server);
    let answer = curl(&format!("{}/bids", services[0].url()), &["-H", &bearer]);
    assert!(answer.contains("urn:authy:problem:unavailable") && answer.ends_with(" 503"), "{answer}");
}
