//! The log of requests: a line for each, the request of each warning, and no secret in any.

use authy_core::api::Method;
use authy_server::AccessLog;
use authy_tests::{
    TestApp, credentials, database,
    trace::Captured,
    until,
    wire::{KeptConnection, get, post, send},
};

async fn app(sample: f64) -> TestApp {
    TestApp::with(|_, http| http.access_log = Some(AccessLog { sample })).await
}

/// The lines of the access log.
fn lines(log: &Captured, parts: &[&str]) -> Vec<String> {
    log.lines(&[&["authy_server::access_log: request"], parts].concat())
}

#[tokio::test]
async fn each_request_is_a_line_with_its_route_and_nothing_secret() {
    let (log, app) = (Captured::begin(), app(0.0).await);
    let user = app.user().await;
    user.client.get_self().await.unwrap();
    let own = format!("user={}", user.id);
    let line = &lines(&log, &["method=\"GET\"", "route=\"/authy/user\"", "status=200", &own])[0];
    for part in ["duration_ms=", "bytes=", "ip=127.0.0.1", "request_id=\""] {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
    get(app.address, "/authy/validate/a-one-time-code?and=a-query").await;
    assert_eq!(lines(&log, &["route=\"/authy/validate/{code}\"", "status=404"]).len(), 1);
    let made_up = "MADEUP /authy/a-mistyped-code HTTP/1.1\nx-request-id: r-1";
    send(app.address, made_up, "").await;
    assert_eq!(lines(&log, &["method=\"other\" route=\"(none)\" status=404", "request_id=\"r-1\""]).len(), 1);
    post(app.address, "/authy/login", r#"{"username":"ada","password":"a-wrong-password"}"#).await;
    assert_eq!(lines(&log, &["route=\"/authy/login\"", "status=401"]).len(), 1);
    for secret in ["a-one-time-code", "a-query", "a-mistyped-code", "a-wrong-password", "MADEUP", user.token.expose()] {
        assert_eq!(log.lines(&[secret]), Vec::<String>::new(), "{secret}");
    }
}

#[tokio::test]
async fn successful_token_checks_are_sampled_and_refused_ones_are_all_logged() {
    let log = Captured::begin();
    let (none, all) = (app(0.0).await, app(1.0).await);
    let route = ["route=\"/authy/checkaccess/{level}\""];
    for (app, logged) in [(&none, 0), (&all, 3)] {
        let user = app.user().await;
        for _ in 0..3 {
            user.client.check_access(10.try_into().unwrap()).await.unwrap();
        }
        assert_eq!(lines(&log, &[&route[..], &["status=200"]].concat()).len(), logged);
        get(app.address, "/authy/checkaccess/10").await;
    }
    assert_eq!(lines(&log, &[&route[..], &["status=401"]].concat()).len(), 2);
}

#[tokio::test]
async fn without_the_setting_no_request_is_a_line() {
    let (log, app) = (Captured::begin(), TestApp::new().await);
    app.user().await.client.get_self().await.unwrap();
    assert_eq!(lines(&log, &[]), Vec::<String>::new());
}

#[tokio::test]
async fn every_warning_of_a_request_names_its_route_and_its_id() {
    let (log, app) =
        (Captured::begin(), TestApp::with(|config, _| config.max_staleness = std::time::Duration::ZERO).await);
    let user = app.user().await;
    database::close(&app.database).await;
    let token = format!("x-access-token: {}", user.token.expose());
    let requests = [
        ("r-login", Method::POST, "/authy/login", "/authy/login"),
        ("r-check", Method::GET, "/authy/checkaccess/10", "/authy/checkaccess/{level}"),
        ("r-user", Method::GET, "/authy/user", "/authy/user"),
    ];
    let body = serde_json::to_string(&credentials(&user.username)).unwrap();
    for (id, method, path, route) in requests {
        let body = if method == Method::POST { body.as_str() } else { "" };
        let head = format!("{method} {path} HTTP/1.1\nx-request-id: {id}\n{token}\ncontent-type: application/json");
        let answer = send(app.address, &head, body).await;
        assert_eq!((answer.status, answer.header("x-request-id")), (503, id));
        let span = format!("request{{request_id=\"{id}\" method=\"{method}\" route=\"{route}\"}}");
        let warned = log.lines(&[" WARN ", &span, "could not answer a request"]);
        assert_eq!(warned.len(), 1, "{id}: {:?}", log.lines(&[" WARN "]));
    }
}

#[tokio::test]
async fn a_request_whose_client_hangs_up_is_logged_and_counted() {
    let (log, app) = (Captured::begin(), app(0.0).await);
    let user = app.user().await;
    let mut sql = app.sql().await;
    let lock = sql.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE authy.users IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut client = KeptConnection::open(app.address).await;
    let token = user.token.expose();
    client.write(&format!("GET /authy/user HTTP/1.1\r\nhost: a\r\nx-access-token: {token}\r\n\r\n")).await;
    let waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'authy.users'::regclass";
    until("it waits for the database", || async { !lock.query(waits, &[]).await.unwrap().is_empty() }).await;
    drop(client);
    let line = ["method=\"GET\"", "route=\"/authy/user\"", "status=499", "duration_ms="];
    until("it is logged", || async { lines(&log, &line).len() == 1 }).await;
    lock.rollback().await.unwrap();
    let counted = "authy_http_requests_total{route=\"/authy/user\",method=\"GET\",status=\"4xx\"} 1";
    let metrics = get(app.address, "/metrics").await;
    assert!(metrics.body.contains(counted), "{}", metrics.body);
}
