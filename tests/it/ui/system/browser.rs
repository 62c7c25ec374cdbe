//! These pages in a real browser: how they look, what they violate, and whether everybody can use them.

use authy_tests::tools;
use serde_json::json;

use super::{super::browser::run, *};

#[tokio::test]
async fn the_service_is_watched_and_operated_in_a_browser() {
    let app = sinks::app(false).await;
    let (root, admin, user) = (app.superadmin().await, app.admin().await, app.user().await);
    for subject in [&root, &admin, &user] {
        sinks::until_stuck(&app, subject.id).await;
    }
    let mut stranger = Visitor::new(&app);
    stranger.get("/authy/ui/login").await;
    for _ in 0..3 {
        stranger.log_in(&user.username, "not-the-password").await;
    }
    let shots = tools::target().join("screenshots/service");
    std::fs::create_dir_all(&shots).unwrap();
    let task = json!({
        "browser": tools::browser(),
        "url": format!("http://localhost:{}", app.address.port()),
        "shots": shots,
        "root": root.username,
        "admin": admin.username,
        "user": user.username,
        "password": PASSWORD,
    });
    let seen = run("service.mjs", &task).await;
    assert_eq!(seen["problems"], json!([]), "{seen:#}");
    assert!(seen["steps"].as_array().is_some_and(|steps| steps.len() > 40), "{seen:#}");
}
