//! The pages in a real browser: the whole life of an account, with the mails read from their folder.

use std::{process::Stdio, sync::Arc};

use authy_core::api::user::NewAccount;
use authy_server::sink::{MailConfig, Mails};
use authy_tests::{operator, tools};
use serde_json::Value;
use tokio::process::Command;

use super::*;

fn pages() -> Option<Pages> {
    Some(Pages { name: "The shop".to_owned(), ..Pages::new("http://localhost").unwrap() })
}

/// Runs the script; what it notes is returned, and its screenshots are left in `target/screenshots`.
async fn live(script: bool) -> Value {
    let mails = tempfile::tempdir().unwrap();
    let folder = mails.path().to_owned();
    let app = TestApp::build(
        database::fresh().await,
        MasterKeys::generate().unwrap(),
        |_, http| http.pages = pages(),
        |authy| {
            let issuer = authy.metadata().issuer;
            let url = issuer.replace("127.0.0.1", "localhost");
            let page = |path: &str| format!("{url}/authy/ui/{path}/{{code}}").parse().unwrap();
            let links = |config: MailConfig| config.validate_url(page("confirm")).reset_url(page("reset"));
            vec![Arc::new(Mails::folder(&folder, &url).unwrap().with(links).sink(authy))]
        },
    )
    .await;
    let strict = TestApp::with(|config, http| {
        http.pages = pages();
        http.limits.login = "1/day".parse().unwrap();
        config.require_validated = true;
    })
    .await;
    let invited = fresh_name("eve");
    let account = NewAccount::new(&invited, &format!("{invited}@example.org")).unwrap();
    app.authy.users().create(&operator(), account).await.unwrap();
    let url = |app: &TestApp| format!("http://localhost:{}", app.address.port());
    let shots = tools::target().join("screenshots").join(if script { "with-javascript" } else { "without-javascript" });
    std::fs::create_dir_all(&shots).unwrap();
    let task = serde_json::json!({
        "browser": tools::browser(),
        "url": url(&app),
        "strict": url(&strict),
        "mails": mails.path(),
        "shots": shots,
        "name": fresh_name("ada"),
        "invited": invited,
        "password": PASSWORD,
        "script": script,
    });
    run("ui.mjs", &task).await
}

/// Runs a script, and returns what it prints.
pub(crate) async fn run(script: &str, task: &Value) -> Value {
    // A script finds its packages in a folder above its own. Another test may run the same one.
    let folder = tools::node().join(fresh_name("scripts"));
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(tools::root().join("tests/browser")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let mut command = Command::new("node");
    command.arg(folder.join(script)).arg(task.to_string()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_api_reference_is_shown_and_an_endpoint_is_tried_with_a_token() {
    let app = TestApp::with(|_, http| http.pages = Some(Pages::new("http://localhost").unwrap())).await;
    let user = app.user().await;
    let shots = tools::target().join("screenshots/api-reference");
    std::fs::create_dir_all(&shots).unwrap();
    let task = serde_json::json!({
        "browser": tools::browser(),
        "url": format!("http://localhost:{}", app.address.port()),
        "shots": shots,
        "token": user.token.expose(),
    });
    let seen = run("docs.mjs", &task).await;
    assert_eq!(seen["problems"], serde_json::json!([]), "{seen:#}");
    assert_eq!((&seen["status"], &seen["username"]), (&"200".into(), &user.username.as_str().into()), "{seen:#}");
    assert_eq!(seen["operations"], api::all().count(), "{seen:#}");
}

#[tokio::test]
async fn an_account_lives_in_a_browser_from_sign_up_to_deletion() {
    let seen = live(true).await;
    assert_eq!(seen["problems"], serde_json::json!([]), "{seen:#}");
    assert!(seen["steps"].as_array().is_some_and(|steps| steps.len() > 50), "{seen:#}");
}

#[tokio::test]
async fn an_account_lives_in_a_browser_without_javascript() {
    let seen = live(false).await;
    assert_eq!(seen["problems"], serde_json::json!([]), "{seen:#}");
}
