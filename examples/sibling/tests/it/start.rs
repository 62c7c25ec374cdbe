//! The program: what it says when it cannot start.

use std::process::Stdio;

use authy_server::test_util::TestServer;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{client, service_account};

fn program(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authy-example-sibling"));
    command.env("BIDS_LISTEN", "127.0.0.1:0").envs(variables.iter().copied()).kill_on_drop(true);
    command
}

async fn refusal(variables: &[(&str, &str)]) -> String {
    let output = program(variables).output().await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_wrong_issuer_audience_url_or_password_is_said_at_the_start() {
    let authy = TestServer::start().await;
    // The same server by another name.
    let other = authy.url().replace("127.0.0.1", "localhost");
    let said = refusal(&[("AUTHY_URL", &other)]).await;
    assert!(said.contains("AUTHY_ISSUER: ") && said.contains(&other) && said.contains(authy.url()), "{said}");
    let said = refusal(&[("AUTHY_URL", authy.url()), ("AUTHY_AUDIENCE", "shop")]).await;
    assert!(said.contains("AUTHY_AUDIENCE: ") && said.contains("shop"), "{said}");
    let said = refusal(&[("AUTHY_URL", "http://127.0.0.1:1")]).await;
    assert!(said.contains("AUTHY_URL: ") && said.contains("http://127.0.0.1:1 cannot be reached"), "{said}");

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let said = refusal(&[("AUTHY_URL", authy.url()), ("BIDS_ACCOUNT", "nobody"), ("BIDS_PASSWORD_FILE", path)]).await;
    assert!(said.contains("BIDS_ACCOUNT: ") && said.contains("invalid_credentials"), "{said}");
}

#[tokio::test]
async fn the_program_listens_and_logs_out_when_it_ends() {
    let authy = TestServer::start().await;
    let credentials = service_account(&authy).await.credentials;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), credentials.password.expose()).unwrap();
    let path = file.path().to_str().unwrap();
    let other = authy.url().replace("127.0.0.1", "localhost");
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("device");
    let mut program = program(&[
        ("AUTHY_URL", &other),
        ("AUTHY_ISSUER", authy.url()),
        ("BIDS_ACCOUNT", "bids"),
        ("BIDS_PASSWORD_FILE", path),
        ("BIDS_DEVICE_FILE", device.to_str().unwrap()),
    ]);
    let mut program = program.stdout(Stdio::piped()).spawn().unwrap();
    let first = BufReader::new(program.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    assert!(first.starts_with("listening on http://127.0.0.1:"), "{first}");
    assert!(device.exists());
    let own = client(&authy).session().login(credentials).await.unwrap();
    let sessions = async || own.client().await.unwrap().list_sessions().await.unwrap().sessions.len();
    assert_eq!(sessions().await, 2);
    let id = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    assert!(program.wait().await.unwrap().success());
    assert_eq!(sessions().await, 1);
}
