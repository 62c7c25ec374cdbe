//! The pages as a user sees them: in a real browser, with JavaScript and without.

use authy_core::{
    Secret,
    api::{account::AccountChange, event::EventKind},
};
use authy_tests::{PASSWORD, TestApp, credentials, fresh_name, new_user, tools};
use serde_json::Value;

use crate::ui::browser::run;

async fn visit(links: &[String]) -> Vec<Value> {
    let task = serde_json::json!({ "browser": tools::browser(), "links": links });
    serde_json::from_value(run("validate.mjs", &task).await).unwrap()
}

#[tokio::test]
async fn an_address_is_confirmed_in_a_browser_with_and_without_javascript() {
    let app = TestApp::new().await;
    let mut links = Vec::new();
    let mut accounts = Vec::new();
    for _ in 0..2 {
        let name = fresh_name("ada");
        let id = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
        links.push(app.code(id, EventKind::UserRegistered).await);
        let token = app.anonymous().login(credentials(&name)).await.unwrap().token;
        accounts.push((id, app.anonymous().with_token(token), format!("{name}@example.com")));
    }
    let link = |code: &Secret| format!("{}/authy/validate/{}", app.url(), code.expose());
    let mut visits = visit(&links.iter().map(link).collect::<Vec<_>>()).await;
    let mut new_links = Vec::new();
    for (id, client, address) in &accounts {
        let change = AccountChange::email(Some(Secret::new(PASSWORD)), address.parse().unwrap());
        client.change_user(*id, change).await.unwrap();
        new_links.push(app.code(*id, EventKind::EmailRequested).await);
    }
    visits.extend(visit(&new_links.iter().map(link).collect::<Vec<_>>()).await);

    let scripts: Vec<_> = visits.iter().map(|visit| visit["javaScriptEnabled"].as_bool().unwrap()).collect();
    assert_eq!(scripts, [false, true, false, true]);
    for (visit, code) in visits.iter().zip(links.iter().chain(&new_links)) {
        let titles = [
            "Confirm your address",
            "Your address is confirmed",
            "Your address was confirmed before",
            "This link does not work",
        ];
        assert_eq!(visit["titles"], serde_json::json!(titles), "{visit}");
        assert_eq!(visit["statuses"], serde_json::json!([200, 200, 200, 404]), "{visit}");
        assert_eq!(visit["problems"], serde_json::json!([]), "nothing violates the policy: {visit}");
        // Nothing else is loaded, and the code is sent to no other server.
        let path = format!("/authy/validate/{}", code.expose());
        let requests = [format!("GET {path}"), format!("POST {path}"), format!("GET {path}"), format!("GET {path}x")];
        assert_eq!(visit["requests"], serde_json::json!(requests), "{visit}");
        let (sent, received) = (&visit["sent"], &visit["received"]);
        assert_eq!((&sent["referer"], &sent["sec-fetch-site"]), (&Value::Null, &"same-origin".into()), "{visit}");
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            ),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(received[name], value, "{visit}");
        }
    }
    let admin = app.admin().await;
    for (id, _, address) in &accounts {
        let view = admin.client.get_user(*id).await.unwrap();
        assert!(view.validated && view.email.as_str() == address, "{view:?}");
    }
}
