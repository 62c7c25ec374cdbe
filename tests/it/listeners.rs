//! The admin listener: what is for administrators alone is there and nowhere else.

use std::net::SocketAddr;

use authy_core::{Access, api};
use authy_server::Server;
use authy_tests::{
    PASSWORD, TestApp, TestUser, unlimited,
    wire::{Answer, get, send},
};
use tokio::net::TcpListener;

/// The listener for everybody, and the admin listener.
async fn listen(app: &TestApp) -> (SocketAddr, SocketAddr) {
    let (public, admin) = (bind().await, bind().await);
    let addresses = (public.local_addr().unwrap(), admin.local_addr().unwrap());
    let server = Server::new(app.authy.clone(), unlimited()).with_admin_listener(admin);
    tokio::spawn(server.serve(public, std::future::pending()));
    addresses
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn as_user(address: SocketAddr, user: &TestUser, request: &str, body: &str) -> Answer {
    let token = user.token.expose();
    let head = format!("{request} HTTP/1.1\nauthorization: Bearer {token}\ncontent-type: application/json");
    send(address, &head, body).await
}

#[tokio::test]
async fn what_is_for_administrators_alone_is_on_the_admin_listener_and_nowhere_else() {
    let app = TestApp::new().await;
    let (public, admin) = listen(&app).await;
    let user = app.superadmin().await;
    for info in api::all().filter(|info| info.access.is_administrative()) {
        let path = info.path.replace("{public_id}", &user.id.to_string()).replace("{role_name}", "user");
        let request = format!("{} {path}", info.method);
        let shared = api::all().any(|other| other.path == info.path && !other.access.is_administrative());
        let refused = as_user(public, &user, &request, "").await;
        let expected = if shared { (405, "method_not_allowed") } else { (404, "not_found") };
        assert_eq!((refused.status, refused.code().as_str()), expected, "{request}");
        assert!(!refused.header("allow").split(", ").any(|method| info.method == method), "{refused:?}");
        let unknown = as_user(public, &user, "GET /authy/nothing", "").await;
        if !shared {
            assert_eq!(refused.json()["message"], unknown.json()["message"], "{request}");
        }
        // Without a token, so that nothing is changed.
        assert_eq!(send(admin, &format!("{request} HTTP/1.1"), "").await.status, 401, "{request}");
    }
    for path in ["/authy/users", "/authy/role", "/authy/event", "/authy/user", "/authy/status"] {
        assert_eq!(as_user(admin, &user, &format!("GET {path}"), "").await.status, 200, "{path}");
    }
    assert!(api::all().any(|info| matches!(info.access, Access::OwnOrLevel(_))), "the next test has its subject");
}

#[tokio::test]
async fn an_administrator_changes_the_account_of_another_on_the_admin_listener_only() {
    let app = TestApp::new().await;
    let (public, admin) = listen(&app).await;
    let (root, user) = (app.superadmin().await, app.user().await);
    let change = |email: &str| format!(r#"{{"email":"{email}"}}"#);
    let other = format!("PUT /authy/user/{}", user.id);
    let refused = as_user(public, &root, &other, &change("taken.over@example.org")).await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "not_found"));
    let own = format!(r#"{{"email":"{}.new@example.org","current_password":"{PASSWORD}"}}"#, user.username);
    assert_eq!(as_user(public, &user, &other, &own).await.status, 200, "one's own account");
    assert_eq!(as_user(admin, &root, &other, &change("given@example.org")).await.status, 200);
}

#[tokio::test]
async fn each_listener_describes_what_it_has() {
    let app = TestApp::new().await;
    let (public, admin) = listen(&app).await;
    for (address, has_all) in [(public, false), (admin, true), (app.address, true)] {
        let list = get(address, "/authy").await.json();
        let listed = |url: &str| list["endpoints"].as_array().unwrap().iter().any(|entry| entry["url"] == url);
        assert!(listed("/authy/user") && listed("/authy/role") == has_all, "{list}");
        let document = get(address, "/authy/openapi.json").await.json();
        let paths = &document["paths"];
        assert!(paths["/authy/login"].is_object() && paths["/authy/event"].is_object() == has_all);
        assert!(paths["/authy/user/{public_id}"]["put"].is_object());
        assert_eq!(paths["/authy/user/{public_id}"]["delete"].is_object(), has_all);
        for path in ["/livez", "/readyz"] {
            assert_eq!(get(address, path).await.status, if has_all { 200 } else { 404 }, "{path}");
        }
    }
}
