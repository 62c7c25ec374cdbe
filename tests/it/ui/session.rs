//! The session of a browser: how it begins, lasts, is replaced, and ends.

use std::time::Duration;

use authy_server::Server;
use authy_tests::{unlimited, wire::KeptConnection};
use tokio::net::TcpListener;

use super::*;

async fn sessions(app: &TestApp, user: &authy_tests::TestUser) -> Vec<String> {
    let sessions = app.authy.sessions().list_of(user.id).await.unwrap();
    sessions.iter().map(|session| session.session_id.to_string()).collect()
}

#[tokio::test]
async fn an_expired_access_token_is_replaced_also_in_tabs_that_load_at_once() {
    let app = TestApp::with(|config, http| {
        with_pages(http);
        config.access_ttl = Duration::from_secs(1);
    })
    .await;
    let user = app.user().await;
    let mut visitor = Visitor::logged_in(&app, &user.username).await;
    let first = visitor.cookie("authy-access").to_owned();
    until("the token has expired", || async {
        let head = format!("GET /authy/user HTTP/1.1\nx-access-token: {first}");
        send(app.address, &head, "").await.status == 401
    })
    .await;
    let cookies = visitor.cookies.clone();
    let mut tab = Visitor { cookies, address: app.address };
    assert_eq!(visitor.get("/authy/ui/account").await.status, 200);
    assert_eq!(tab.get("/authy/ui/account/sessions").await.status, 200);
    assert_ne!(visitor.cookie("authy-access"), first);
    assert_eq!(visitor.cookie("authy"), tab.cookie("authy"), "both have the same refresh token");
    assert_eq!(sessions(&app, &user).await.len(), 2, "that of the harness, and one of the browser");
}

#[tokio::test]
async fn a_login_again_replaces_the_session_and_then_more_is_permitted() {
    let app = app().await;
    let user = app.user().await;
    let mut visitor = Visitor::logged_in(&app, &user.username).await;
    assert_eq!(visitor.get("/authy/ui/account/delete").await.status, 200, "the login is recent");
    let sql = app.sql().await;
    sql.execute("UPDATE authy.session SET created = created - interval '20 minutes'", &[]).await.unwrap();
    let (before, old) = (sessions(&app, &user).await, visitor.cookies.clone());
    for answer in [visitor.get("/authy/ui/account/delete").await, visitor.post("/authy/ui/account/delete", "").await] {
        let again = "/authy/ui/again?return=%2Fauthy%2Fui%2Faccount%2Fdelete";
        assert_eq!((answer.status, answer.header("location")), (303, again), "{answer:?}");
    }
    let wrong = visitor.post("/authy/ui/again", "password=wrong").await;
    assert!(wrong.status == 401 && wrong.body.contains("This is not your password."), "{wrong:?}");
    // A name in the form has no effect: it is the user's own.
    let form = format!("username=admin&password={PASSWORD}&return=/authy/ui/account/delete");
    let answer = visitor.post("/authy/ui/again", &form).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/authy/ui/account/delete"), "{answer:?}");
    let after = sessions(&app, &user).await;
    assert_eq!(before.len(), after.len(), "one took the place of the other");
    assert_eq!(after.iter().filter(|id| !before.contains(id)).count(), 1);
    let mut copy = Visitor { cookies: old, address: app.address };
    assert_eq!(copy.get("/authy/ui/account").await.status, 303, "the old cookies are worth nothing");
    assert_eq!(visitor.get("/authy/ui/account/delete").await.status, 200);
}

#[tokio::test]
async fn a_second_login_in_a_browser_ends_the_first() {
    let app = app().await;
    let (ada, eve) = (app.user().await, app.user().await);
    let mut visitor = Visitor::logged_in(&app, &ada.username).await;
    let (first, before) = (visitor.cookies.clone(), sessions(&app, &ada).await.len());
    visitor.cookies.insert("authy-flow".to_owned(), "x".to_owned());
    assert_eq!(visitor.log_in(&eve.username, PASSWORD).await.status, 303);
    assert!(visitor.get("/authy/ui/account").await.body.contains(&eve.username));
    assert_eq!(sessions(&app, &ada).await.len(), before - 1);
    let mut copy = Visitor { cookies: first, address: app.address };
    assert_eq!(copy.get("/authy/ui/account").await.status, 303);
}

#[tokio::test]
async fn a_sign_up_in_a_browser_ends_the_session_that_it_had() {
    let app = app().await;
    let ada = app.user().await;
    let mut visitor = Visitor::logged_in(&app, &ada.username).await;
    let mut copy = Visitor { cookies: visitor.cookies.clone(), address: app.address };
    // Of a page that was opened before the login.
    visitor.cookies.insert("authy-flow".to_owned(), "x".to_owned());
    let name = fresh_name("eve");
    let answer = visitor.post("/authy/ui/signup", &sign_up(&name)).await;
    assert_eq!(answer.header("location"), "/authy/ui/account?notice=signed_up", "{answer:?}");
    assert!(visitor.get("/authy/ui/account").await.body.contains(&name));
    assert_eq!(copy.get("/authy/ui/account").await.status, 303, "the old cookies are worth nothing");
}

fn sign_up(name: &str) -> String {
    format!("username={name}&email={name}@example.org&password={PASSWORD}&confirm_password={PASSWORD}")
}

#[tokio::test]
async fn a_form_that_is_still_open_in_another_tab_after_a_login_leads_on_and_logs_nobody_in() {
    let app = app().await;
    let (ada, eve) = (app.user().await, app.user().await);
    let mut visitor = Visitor::logged_in(&app, &ada.username).await;
    assert_eq!(visitor.cookie("authy-flow"), "", "the login has removed it");
    let before = (sessions(&app, &ada).await, sessions(&app, &eve).await);
    let name = fresh_name("nia");
    let login = format!("username={}&password={PASSWORD}", eve.username);
    for (page, form, next) in [
        ("/authy/ui/login", login.clone(), "/authy/ui/account"),
        ("/authy/ui/login", format!("{login}&return=/authy/ui/account/email"), "/authy/ui/account/email"),
        ("/authy/ui/login", format!("{login}&return=https://evil.example/"), "/authy/ui/account"),
        ("/authy/ui/signup", sign_up(&name), "/authy/ui/account"),
    ] {
        let answer = visitor.post(page, &form).await;
        assert_eq!((answer.status, answer.header("location")), (303, next), "{answer:?}");
        assert!(visitor.get("/authy/ui/account").await.body.contains(&ada.username));
    }
    assert_eq!((sessions(&app, &ada).await, sessions(&app, &eve).await), before);
    assert!(app.authy.users().find_id(&name.parse().unwrap()).await.unwrap().is_none(), "nobody has signed up");
}

#[tokio::test]
async fn a_logout_ends_the_session_everywhere_and_the_page_that_was_open_leads_to_the_login() {
    let app = app().await;
    let user = app.user().await;
    let mut visitor = Visitor::logged_in(&app, &user.username).await;
    let (copied, token) = (visitor.cookies.clone(), visitor.cookie("authy-access").to_owned());
    let head = format!("GET /authy/user HTTP/1.1\nx-access-token: {token}");
    assert_eq!(send(app.address, &head, "").await.status, 200, "it is an ordinary token");
    let answer = visitor.post("/authy/ui/logout", "").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/authy/ui/login?notice=logged_out"));
    assert_eq!(send(app.address, &head, "").await.status, 401);
    let mut copy = Visitor { cookies: copied, address: app.address };
    let answer = copy.post("/authy/ui/account/email", "email=x@example.org&current_password=x").await;
    let login = "/authy/ui/login?return=%2Fauthy%2Fui%2Faccount%2Femail";
    assert_eq!((answer.status, answer.header("location")), (303, login), "{answer:?}");
    assert_eq!((copy.cookie("authy"), copy.cookie("authy-access")), ("", ""), "useless cookies are removed");
}

#[tokio::test]
async fn one_cannot_end_the_session_of_somebody_else() {
    let app = app().await;
    let (ada, eve) = (app.user().await, app.user().await);
    let mut visitor = Visitor::logged_in(&app, &ada.username).await;
    let others = sessions(&app, &eve).await;
    let answer = visitor.post("/authy/ui/account/sessions", &format!("session={}", others[0])).await;
    assert_eq!(answer.status, 303);
    assert_eq!(sessions(&app, &eve).await, others);
    assert_eq!(visitor.post("/authy/ui/account/sessions", "session=nonsense").await.status, 404);
    // Without a name, all others of one's own.
    visitor.post("/authy/ui/account/sessions", "").await;
    assert_eq!((sessions(&app, &ada).await.len(), sessions(&app, &eve).await.len()), (1, 1));
}

#[tokio::test]
async fn over_https_cookies_are_for_this_host_alone_and_kept_only_when_asked() {
    let app = TestApp::with(|_, http| http.pages = Some(Pages::new("https://auth.example").unwrap())).await;
    let user = app.user().await;
    for (remember, is_kept) in [("", false), ("&remember=yes", true)] {
        let mut visitor = Visitor::new(&app);
        visitor.get("/authy/ui/login").await;
        assert!(!visitor.cookie("__Host-authy-flow").is_empty());
        let form = format!("username={}&password={PASSWORD}{remember}", user.username);
        let answer = visitor.post("/authy/ui/login", &form).await;
        let lines: Vec<_> =
            answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, line)| line).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        for line in lines {
            assert!(line.starts_with("__Host-authy") && !line.contains("Domain"), "{line}");
            for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
                assert!(line.contains(part), "{line}");
            }
            let is_token = line.starts_with("__Host-authy=") || line.starts_with("__Host-authy-access=");
            assert_eq!(line.contains("Max-Age"), is_kept || !is_token, "{line}");
        }
    }
}

#[tokio::test]
async fn beside_an_admin_listener_the_pages_for_people_are_on_both() {
    let app = TestApp::new().await;
    let (public, admin) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let addresses = [public.local_addr().unwrap(), admin.local_addr().unwrap()];
    let mut http = unlimited();
    with_pages(&mut http);
    let server = Server::new(app.authy.clone(), http).with_admin_listener(admin);
    tokio::spawn(server.serve(public, std::future::pending()));
    for address in addresses {
        assert_eq!(get(address, "/authy/ui/login").await.status, 200);
    }
}

#[tokio::test]
async fn a_mounted_api_brings_its_pages_and_leaves_the_start_page_to_the_program() {
    use ::axum::{Router, routing::get as answer};
    let app = TestApp::new().await;
    let mut http = unlimited();
    with_pages(&mut http);
    let api = authy_server::service(app.authy.clone(), http);
    let router = Router::new().route("/shop", answer(async || "a shop")).fallback_service(api);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { ::axum::serve(listener, service).await.unwrap() });
    let user = app.user().await;
    let mut visitor = Visitor { cookies: BTreeMap::new(), address };
    assert_eq!(visitor.get("/").await.code(), "not_found");
    assert_eq!(visitor.get("/authy/ui/login").await.status, 200);
    assert_eq!(visitor.log_in(&user.username, PASSWORD).await.status, 303);
    assert!(visitor.get("/authy/ui/account").await.body.contains(&user.username));
}

#[tokio::test]
async fn the_export_is_a_file_and_a_head_writes_none() {
    let app = app().await;
    let user = app.user().await;
    let mut visitor = Visitor::logged_in(&app, &user.username).await;
    let file = visitor.get("/authy/ui/account/export").await;
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"account.json\"");
    assert_eq!(file.json()["user"]["username"], user.username.as_str());
    let cookies: Vec<_> = visitor.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut connection = KeptConnection::open(app.address).await;
    connection
        .write(&format!(
            "HEAD /authy/ui/account/export HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {}\r\n\r\n",
            cookies.join("; ")
        ))
        .await;
    let head = connection.closed().await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn with_required_confirmation_a_sign_up_leads_to_the_mailbox_and_sends_one_code() {
    let app = TestApp::with(|config, http| {
        with_pages(http);
        config.require_validated = true;
    })
    .await;
    let (mut visitor, name) = (Visitor::new(&app), fresh_name("ada"));
    visitor.get("/authy/ui/signup").await;
    let answer = visitor.post("/authy/ui/signup", &sign_up(&name)).await;
    assert!(answer.status == 200 && answer.body.contains("Confirm your email address"), "{answer:?}");
    assert_eq!(visitor.cookie("authy"), "");
    let id = app.authy.users().find_id(&name.parse().unwrap()).await.unwrap().unwrap();
    let events = app
        .sql()
        .await
        .query("SELECT kind FROM authy.event WHERE subject = $1", &[&uuid::Uuid::parse_str(&id.to_string()).unwrap()])
        .await
        .unwrap();
    assert_eq!(events.len(), 1, "the sign-up alone");
    let refused = visitor.log_in(&name, PASSWORD).await;
    assert!(refused.status == 403 && refused.body.contains("Confirm your address first"), "{refused:?}");
}
