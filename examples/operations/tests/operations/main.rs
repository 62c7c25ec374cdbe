//! The tool, run as a process against a real server on a real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod server;

use std::{collections::HashSet, future::Future, io::Write as _, path::Path, process::Stdio, time::Duration};

use authy_client::{
    Authenticator as _, ErrorKind, Secret,
    api::{
        event::EventView,
        session::Credentials,
        user::{NewAccount, NewUser},
    },
};
use tokio::time::{sleep, timeout};

use crate::server::{TestServer, text};

/// Waits until a condition holds.
async fn until<F: Future<Output = bool>>(deadline: Duration, mut condition: impl FnMut() -> F) {
    let holds = async {
        while !condition().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(deadline, holds).await.expect("it holds in time");
}

fn many(count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(|number| {
        format!("user-{number},user-{number}@example.org,{}", if number % 10 == 0 { "guest" } else { "" })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_users_are_imported_once_and_counted() {
    let server = TestServer::start("off").await;
    let users = server.users(many(1000));
    assert_eq!(server.run(["import", text(&users)]).await, "1000 created, 0 skipped, 0 failed\n");
    assert_eq!(server.run(["import", text(&users)]).await, "0 created, 1000 skipped, 0 failed\n");
    server.run(["offboard", "user-10"]).await;
    let report = "\
users: 1000
  with the role guest: 99
  with the role superadmin: 1
  with the role user: 900
  with an unconfirmed address: 999
deleted users: 1
";
    assert_eq!(server.run(["report"]).await, report);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_for_as_long_as_the_rate_limit_says_and_invites_everybody() {
    // Ten seconds for the seventh: longer than the client waits by itself.
    let server = TestServer::start("6/minute").await;
    let users = server.users(many(7));
    assert_eq!(server.run(["import", text(&users)]).await, "7 created, 0 skipped, 0 failed\n");
    until(Duration::from_secs(30), async || server.mails("invitation") == 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_line_is_named_and_nobody_is_created() {
    let server = TestServer::start("off").await;
    let users = server.users(["ada,ada@example.org,user".to_owned(), "x,no-address,user".to_owned()]);
    let errors = server.fail(["import", text(&users)]).await;
    assert!(errors.contains("line 3: ") && errors.contains("username") && errors.contains("email"), "{errors}");
    assert!(server.run(["report"]).await.starts_with("users: 1\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_cannot_be_created_are_named_and_the_others_are_created() {
    let server = TestServer::start("off").await;
    let confirmed = NewAccount { validated: Some(true), ..NewAccount::new("grace", "grace@example.org").unwrap() };
    server.administrator().await.create_user(confirmed).await.unwrap();
    let lines = [
        "ada,ada@example.org,user",
        "bob,bob@example.org,no-such-role",
        "dan,grace@example.org,",
        "eve,eve@example.org,",
    ];
    let users = server.users(lines.map(str::to_owned));
    let errors = server.fail(["import", text(&users)]).await;
    assert!(errors.contains("line 3: invalid_input: there is no such role\n"), "{errors}");
    assert!(errors.contains("line 4: the email address belongs to another user\n"), "{errors}");
    assert!(server.run(["report"]).await.contains("with the role user: 3\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_ends_neither_the_task_nor_the_logout() {
    let server = TestServer::start("off").await;
    // As in `report 2>&1 | head -0`: both ends of the output are closed before the tool writes anything.
    let closed = || Stdio::from(std::io::pipe().unwrap().1);
    let users = server.users(["ada,ada@example.org,".to_owned(), "bob,bob@example.org,no-such-role".to_owned()]);
    for (arguments, succeeds) in [(&["report"][..], true), (&["import", text(&users)], false), (&["report"], true)] {
        let status = server.tool(arguments).stdout(closed()).stderr(closed()).status().await.unwrap();
        assert_eq!(status.code(), Some(i32::from(!succeeds)), "{arguments:?}");
    }
    assert!(server.run(["report"]).await.contains("with the role user: 1\n"));
    let sessions = server.administrator().await.list_sessions().await.unwrap().sessions;
    assert_eq!(sessions.len(), 1, "the session that asks: {sessions:?}");
}

#[tokio::test]
async fn a_token_that_was_revoked_in_the_middle_of_an_import_is_replaced() {
    let server = TestServer::start("off").await;
    let (administrator, users) = (server.administrator_id().await, server.users(many(300)));
    let import = async { server.run(["import", text(&users)]).await };
    let revoke = async {
        until(Duration::from_secs(10), async || server.count_users().await > 10).await;
        server.grant("guest", administrator).await;
    };
    assert_eq!(tokio::join!(import, revoke).0, "300 created, 0 skipped, 0 failed\n");
}

#[tokio::test]
async fn plain_http_to_another_machine_is_refused_by_the_name_of_the_variable() {
    let server = TestServer::start("off").await;
    let output = server.tool(["report"]).env("AUTHY", "http://auth.example.org").output().await.unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && errors.contains("AUTHY: ") && errors.contains("https://"), "{errors}");
    assert!(!errors.contains("ClientBuilder"), "{errors}");
}

/// Returns the events of a file, oldest first.
fn exported(file: &Path) -> Vec<EventView> {
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_exported_once_across_runs() {
    let server = TestServer::start("off").await;
    let file = server.path("events.ndjson");
    let export = ["export-events", "--since", "2019-06-11T10:03:09Z", "--to", text(&file)];
    server.run(["import", text(&server.users(many(150)))]).await;
    server.run(export).await;
    let first = exported(&file);
    // A run that was killed left the beginning of a line.
    std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"event_id\":").unwrap();
    server.run(["offboard", "user-7"]).await;
    server.run(export).await;

    let events = exported(&file);
    assert_eq!(events[..first.len()], first);
    assert_eq!(events.iter().map(|event| event.event_id).collect::<HashSet<_>>().len(), events.len());
    assert_eq!(events.iter().filter(|event| event.kind == "user.registered").count(), 151);
    assert_eq!(events.iter().filter(|event| event.kind == "user.deleted").count(), 1);
    assert!(events.is_sorted_by_key(|event| event.happened_micros));
}

#[tokio::test(flavor = "multi_thread")]
async fn offboarding_ends_a_session_within_a_second() {
    let server = TestServer::start("off").await;
    let client = server.client();
    let password = Secret::new("difference-engine-no-2");
    client.register(NewUser::new("ada", "ada@example.org", password.clone()).unwrap()).await.unwrap();
    let tokens = client.login(Credentials::new("ada", password)).await.unwrap();
    let verifier = client.verifier().start().await.unwrap();
    verifier.authenticate(tokens.token.expose()).await.unwrap();

    server.run(["offboard", "ada"]).await;
    until(Duration::from_secs(1), async || {
        let refused = verifier.authenticate(tokens.token.expose()).await;
        refused.is_err_and(|error| error.kind() == ErrorKind::InvalidToken)
    })
    .await;
    let errors = server.fail(["offboard", "ada"]).await;
    assert!(errors.contains("there is no user ada"), "{errors}");
}
