//! The console in a real browser, with JavaScript and without.

use authy_tests::{new_account, operator, tools};
use serde_json::Value;

use super::*;
use crate::ui::browser::run;

/// Runs the script; what it notes is returned, and its screenshots are left in `target/screenshots`.
async fn administer(script: bool) -> Value {
    let app = TestApp::with(|_, http| {
        http.pages = Some(Pages { name: "The shop".to_owned(), ..Pages::new("http://localhost").unwrap() });
    })
    .await;
    let names = ["root", "nia", "ada", "eve"].map(fresh_name);
    for (name, role) in names.iter().zip(["superadmin", "admin", "user", "user"]) {
        app.authy.users().create(&operator(), new_account(name, role)).await.unwrap();
    }
    for number in 0..30 {
        let account = new_account(&format!("visitor-{number:02}"), if number % 5 == 0 { "guest" } else { "user" });
        app.authy.users().create(&operator(), account).await.unwrap();
    }
    // Some time ago.
    let old = app.anonymous().login(credentials(&names[0])).await.unwrap().token;
    let age = "UPDATE authy.session SET created = created - interval '20 minutes'";
    app.sql().await.execute(age, &[]).await.unwrap();
    let shots =
        tools::target().join("screenshots/console").join(if script { "with-javascript" } else { "without-javascript" });
    std::fs::create_dir_all(&shots).unwrap();
    let [root, admin, user, other] = names;
    let task = serde_json::json!({
        "browser": tools::browser(), "url": format!("http://localhost:{}", app.address.port()), "shots": shots,
        "root": root, "admin": admin, "user": user, "other": other, "password": PASSWORD, "old_token": old.expose(),
        "script": script,
    });
    run("console.mjs", &task).await
}

#[tokio::test]
async fn an_administrator_works_in_a_browser() {
    let seen = administer(true).await;
    assert_eq!(seen["problems"], serde_json::json!([]), "{seen:#}");
    assert!(seen["steps"].as_array().is_some_and(|steps| steps.len() > 40), "{seen:#}");
}

#[tokio::test]
async fn an_administrator_works_in_a_browser_without_javascript() {
    let seen = administer(false).await;
    assert_eq!(seen["problems"], serde_json::json!([]), "{seen:#}");
}
