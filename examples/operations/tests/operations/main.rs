//! The tool, run as a process against a real server on a real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod tool;

use std::{
    collections::HashSet, future::Future, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path,
    process::Stdio, time::Duration,
};

use authy_client::{
    Authenticator as _, ErrorKind,
    api::{
        event::EventView,
        user::{NewAccount, UserQuery},
    },
};
use authy_core::engine::NotificationKind;
use authy_server::test_util::TestServer;
use tokio::time::{sleep, timeout};

use crate::tool::{Tool, text};

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
    let tool = Tool::new().await;
    let users = tool.users(many(1000));
    assert_eq!(tool.run(["import", text(&users)]).await, "1000 created, 0 skipped, 0 failed\n");
    assert_eq!(tool.run(["import", text(&users)]).await, "0 created, 1000 skipped, 0 failed\n");
    tool.run(["offboard", "user-10"]).await;
    let report = "\
users: 1000
  with the role guest: 99
  with the role superadmin: 1
  with the role user: 900
  with an unconfirmed address: 999
deleted users: 1
";
    assert_eq!(tool.run(["report"]).await, report);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_for_as_long_as_the_rate_limit_says_and_invites_everybody() {
    // Ten seconds for the seventh: longer than the client waits by itself.
    let limit = "6/minute".parse().unwrap();
    let tool = Tool::of(TestServer::builder().http(|http| http.limits.default = limit).start().await);
    let users = tool.users(many(7));
    assert_eq!(tool.run(["import", text(&users)]).await, "7 created, 0 skipped, 0 failed\n");
    for number in 1..=7 {
        let mails = tool.authy.mails();
        mails.take(&format!("user-{number}@example.org"), NotificationKind::Invitation).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_line_is_named_and_nobody_is_created() {
    let tool = Tool::new().await;
    let users = tool.users(["ada,ada@example.org,user".to_owned(), "x,no-address,user".to_owned()]);
    let errors = tool.fail(["import", text(&users)]).await;
    assert!(errors.contains("line 3: ") && errors.contains("username") && errors.contains("email"), "{errors}");
    assert!(tool.run(["report"]).await.starts_with("users: 1\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_cannot_be_created_are_named_and_the_others_are_created() {
    let tool = Tool::new().await;
    let confirmed = NewAccount { validated: Some(true), ..NewAccount::new("grace", "grace@example.org").unwrap() };
    tool.authy.authy().users().create(&tool.authy.operator(), confirmed).await.unwrap();
    let lines = [
        "ada,ada@example.org,user",
        "bob,bob@example.org,no-such-role",
        "dan,grace@example.org,",
        "eve,eve@example.org,",
    ];
    let users = tool.users(lines.map(str::to_owned));
    let errors = tool.fail(["import", text(&users)]).await;
    assert!(errors.contains("line 3: invalid_input: there is no such role\n"), "{errors}");
    assert!(errors.contains("line 4: the email address belongs to another user\n"), "{errors}");
    assert!(tool.run(["report"]).await.contains("with the role user: 3\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_ends_neither_the_task_nor_the_logout() {
    let tool = Tool::new().await;
    // As in `report 2>&1 | head -0`: both ends of the output are closed before the tool writes anything.
    let closed = || Stdio::from(std::io::pipe().unwrap().1);
    let users = tool.users(["ada,ada@example.org,".to_owned(), "bob,bob@example.org,no-such-role".to_owned()]);
    for (arguments, succeeds) in [(&["report"][..], true), (&["import", text(&users)], false), (&["report"], true)] {
        let mut command = tool.command(arguments.iter().copied());
        let status = command.stdout(closed()).stderr(closed()).status().await.unwrap();
        assert_eq!(status.code(), Some(i32::from(!succeeds)), "{arguments:?}");
    }
    assert!(tool.run(["report"]).await.contains("with the role user: 1\n"));
    let token = tool.authy.log_in(tool.authy.administrator()).await.token;
    let sessions = tool.client().with_token(token).list_sessions().await.unwrap().sessions;
    assert_eq!(sessions.len(), 1, "the session that asks: {sessions:?}");
}

#[tokio::test]
async fn a_token_that_was_revoked_in_the_middle_of_an_import_is_replaced() {
    let tool = Tool::new().await;
    let (authy, operator) = (tool.authy.authy(), tool.authy.operator());
    let users = tool.users(many(300));
    let import = async { tool.run(["import", text(&users)]).await };
    let revoke = async {
        let count = async || authy.users().list(&UserQuery::default()).await.unwrap().total;
        until(Duration::from_secs(10), async || count().await > 10).await;
        // Revokes the access tokens of every session of the user.
        authy.roles().grant(&operator, &"guest".parse().unwrap(), tool.authy.administrator().id).await.unwrap();
    };
    assert_eq!(tokio::join!(import, revoke).0, "300 created, 0 skipped, 0 failed\n");
}

#[tokio::test]
async fn plain_http_to_another_machine_is_refused_by_the_name_of_the_variable() {
    let tool = Tool::new().await;
    let output = tool.command(["report"]).env("AUTHY", "http://auth.example.org").output().await.unwrap();
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
    let tool = Tool::new().await;
    let file = tool.path("events.ndjson");
    let export = ["export-events", "--since", "2019-06-11T10:03:09Z", "--to", text(&file)];
    tool.run(["import", text(&tool.users(many(150)))]).await;
    tool.run(export).await;
    let first = exported(&file);
    // A run that was killed left the beginning of a line.
    std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"event_id\":").unwrap();
    tool.run(["offboard", "user-7"]).await;
    tool.run(export).await;

    let events = exported(&file);
    assert_eq!(events[..first.len()], first);
    assert_eq!(events.iter().map(|event| event.event_id).collect::<HashSet<_>>().len(), events.len());
    assert_eq!(events.iter().filter(|event| event.kind == "user.registered").count(), 151);
    assert_eq!(events.iter().filter(|event| event.kind == "user.deleted").count(), 1);
    assert!(events.is_sorted_by_key(|event| event.happened_micros));
}

#[tokio::test(flavor = "multi_thread")]
async fn offboarding_ends_a_session_within_a_second() {
    let tool = Tool::new().await;
    let ada = tool.authy.create_user("ada", "user").await;
    let tokens = tool.authy.log_in(&ada).await;
    let verifier = tool.client().verifier().start().await.unwrap();
    verifier.authenticate(tokens.token.expose()).await.unwrap();

    tool.run(["offboard", "ada"]).await;
    until(Duration::from_secs(1), async || {
        let refused = verifier.authenticate(tokens.token.expose()).await;
        refused.is_err_and(|error| error.kind() == ErrorKind::InvalidToken)
    })
    .await;
    let errors = tool.fail(["offboard", "ada"]).await;
    assert!(errors.contains("there is no user ada"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_a_day_is_no_login_from_a_new_device_a_day() {
    let tool = Tool::new().await;
    let administrator = tool.authy.administrator();
    let address = "admin@authy.invalid";
    for _ in 0..2 {
        tool.run(["report"]).await;
    }
    let file = tool.path("device");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // The mails about one user arrive in the order of their events, so those of both runs have arrived before this one.
    let (users, operator) = (tool.authy.authy().users(), tool.authy.operator());
    users.send_reset(&operator, administrator.id).await.unwrap();
    tool.authy.mails().take(address, NotificationKind::Reset).await;
    let kinds: Vec<_> = tool.authy.mails().list().iter().map(|mail| mail.kind).collect();
    assert_eq!(kinds, [NotificationKind::Reset]);

    // Without the file it is one.
    std::fs::remove_file(file).unwrap();
    tool.run(["report"]).await;
    tool.authy.mails().take(address, NotificationKind::NewDevice).await;
}
