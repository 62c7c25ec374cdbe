//! `authy-server shadow`: recorded requests, replayed against two servers, and what differs.

use std::path::Path;

use authy_server::Compat;
use authy_tests::{
    PASSWORD, TestApp,
    receiver::{Reaction, Receiver},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tokio::process::Command;

mod first_authy;
mod refused;
mod replayed;

const PROGRAM: &str = env!("CARGO_BIN_EXE_authy-server-program");

/// What the program printed, and its exit code.
#[derive(Debug)]
struct Shadowed {
    code: Option<i32>,
    report: String,
    said: String,
}

/// Replays requests, an object each or a HAR file, as fast as it can.
async fn shadow(old: &str, new: &str, requests: &str, arguments: &[&str]) -> Shadowed {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests");
    std::fs::write(&file, requests).unwrap();
    let mut command = program(folder.path());
    command.args(["shadow", "--rate", "1000", "--old", old, "--new", new, "--requests"]).arg(&file).args(arguments);
    finished(command).await
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).kill_on_drop(true);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AUTHY_")) {
        command.env_remove(name);
    }
    command
}

async fn finished(mut command: Command) -> Shadowed {
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Shadowed { code: output.status.code(), report: text(&output.stdout), said: text(&output.stderr) }
}

/// Requests as lines.
fn lines(requests: &[Value]) -> String {
    requests.iter().map(|request| format!("{request}\n")).collect()
}

fn log_in(username: &str, password: &str) -> Value {
    json!({ "method": "POST", "path": "/authy/login", "body": { "username": username, "password": password } })
}

fn get_as(username: &str, path: &str) -> Value {
    json!({ "path": path, "token_of": username })
}

/// An answer of JSON.
fn answer(status: &str, body: &Value) -> Reaction {
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close");
    Reaction::Bytes(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}
