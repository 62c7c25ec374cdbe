//! The first authy as a program, with its users: `first_authy.py`.

use std::process::Stdio;

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{
    old_database::{self, OldUser},
    tools,
};

/// A running first authy.
pub struct FirstAuthyProgram {
    /// Its base URL.
    pub url: String,
    _process: Child,
    _users: tempfile::NamedTempFile,
}

impl FirstAuthyProgram {
    /// Starts one with these users, each with a public ID and the level of its role `user`.
    pub async fn start(users: &[OldUser]) -> Self {
        let hashes = old_database::werkzeug(users).await;
        let users = users.iter().zip(&hashes).map(|(user, hash)| {
            json!({
                "public_id": user.public_id, "username": user.username, "email": user.email, "created": user.created,
                "deleted": user.deleted == Some(true), "level": 10, "hash": hash,
            })
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json!(users.collect::<Vec<_>>()).to_string()).unwrap();
        let mut command = Command::new(tools::python());
        command.arg(tools::root().join("tests/harness/first_authy.py")).arg(file.path());
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("it ended");
        let url = line.trim_start_matches("listening on ").to_owned();
        Self { url, _process: process, _users: file }
    }
}
