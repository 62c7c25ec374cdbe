//! Token checks that are answered from memory: as the first one was, and only as long as the token is good.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use authy_core::engine::MasterKeys;
use authy_tests::{
    TestApp, TestUser, database, operator, until,
    wire::{Answer, KeptConnection, get, send},
};

/// A connection to a server.
struct Connection {
    kept: KeptConnection,
    address: SocketAddr,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        Self { kept: KeptConnection::open(address).await, address }
    }
}

/// Sends a check of a user's token.
async fn check(connection: &mut Connection, user: &TestUser, method: &str, path: &str, lines: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\nx-access-token: {}{lines}", user.token.expose());
    match method {
        // Its answer has the length of a body, and none.
        "HEAD" => send(connection.address, &head, "").await,
        _ => connection.kept.send(&head, "").await,
    }
}

async fn status(connection: &mut Connection, user: &TestUser, level: u32) -> u16 {
    check(connection, user, "GET", &format!("/authy/checkaccess/{level}"), "").await.status
}

/// The headers in their order, without those that differ from one answer to the next.
fn fixed(answer: &Answer) -> Vec<&(String, String)> {
    answer.headers.iter().filter(|(name, _)| name != "date" && name != "x-request-id").collect()
}

#[tokio::test]
async fn an_answer_from_memory_is_that_of_the_first_check() {
    let app = TestApp::with(|_, http| {
        http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        http.cors_origins = vec!["https://shop.example".to_owned()];
    })
    .await;
    for (method, path, lines) in [
        ("GET", "/authy/checkaccess/10", ""),
        ("HEAD", "/authy/checkaccess/10", ""),
        ("POST", "/authy/checkaccess/10", ""),
        ("GET", "/authy/checkaccess/99999?a=b", ""),
        ("GET", "/authy/checkaccess/%31%30", ""),
        ("GET", "/authy/checkaccess/10", "\nx-forwarded-proto: https"),
        ("GET", "/authy/checkaccess/10", "\norigin: https://shop.example"),
        ("GET", "/authy/checkaccess/10", "\norigin: https://other.example"),
    ] {
        let case = format!("{method} {path}{lines}");
        let (user, mut connection) = (app.user().await, Connection::open(app.address).await);
        let first = check(&mut connection, &user, method, path, lines).await;
        assert_eq!(first.status, 200, "{case}: {first:?}");
        let mut ids = BTreeSet::from([first.header("x-request-id").to_owned()]);
        for _ in 0..3 {
            let again = check(&mut connection, &user, method, path, lines).await;
            assert_eq!((again.status, &again.body), (200, &first.body), "{case}");
            assert_eq!(fixed(&again), fixed(&first), "{case}");
            ids.insert(again.header("x-request-id").to_owned());
        }
        assert!(ids.len() == 4 && ids.iter().all(|id| id.len() == 32), "{case}: {ids:?}");
        let named = check(&mut connection, &user, method, path, &format!("{lines}\nx-request-id: r-1")).await;
        assert_eq!((named.header("x-request-id"), fixed(&named)), ("r-1", fixed(&first)), "{case}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_noticed_after_a_good_one() {
    let app = TestApp::new().await;
    let (user, mut connection) = (app.user().await, Connection::open(app.address).await);
    for _ in 0..2 {
        assert_eq!(status(&mut connection, &user, 10).await, 200);
    }
    assert_eq!(status(&mut connection, &user, 9).await, 403);
    let path = "/authy/checkaccess/10";
    for (method, path, lines, expected) in [
        ("GET", path, "\nauthorization: Bearer another", 400),
        ("GET", path, "\nhost: another", 400),
        ("GET", "/authy/checkaccess/100000", "", 400),
        ("GET", "/authy/checkaccess/x", "", 400),
        ("GET", "/authy/checkaccess/10/", "", 404),
        ("GET", "/authy/checkaccess/", "", 404),
        ("OPTIONS", path, "", 204),
    ] {
        let mut connection = Connection::open(app.address).await;
        let answer = check(&mut connection, &user, method, path, lines).await;
        assert_eq!(answer.status, expected, "{method} {path}{lines}: {answer:?}");
    }
    // A token of which a character is missing, or another one.
    let token = user.token.expose();
    for wrong in [&token[1..], &token[..token.len() - 1], &token.replacen("eyJ", "eyK", 1), &format!("{token}x")] {
        let head = format!("GET {path} HTTP/1.1\nx-access-token: {wrong}");
        assert_eq!(connection.kept.send(&head, "").await.status, 401, "{wrong}");
    }
    assert_eq!(get(app.address, path).await.status, 401);
    assert_eq!(status(&mut connection, &user, 10).await, 200);
}

#[tokio::test]
async fn a_check_fails_as_soon_as_its_token_is_void() {
    let app = TestApp::new().await;
    for number in 0..5 {
        let (user, mut connection) = (app.user().await, Connection::open(app.address).await);
        for _ in 0..3 {
            assert_eq!(status(&mut connection, &user, 10).await, 200);
        }
        let by = operator();
        match number {
            0 => {
                user.client.logout().await.unwrap();
            }
            1 => app.authy.users().delete(&by, user.id).await.unwrap(),
            2 => app.authy.roles().grant(&by, &"admin".parse().unwrap(), user.id).await.unwrap(),
            3 => app.authy.sessions().end_all(&by, user.id).await.unwrap(),
            _ => {
                let keys = app.authy.keys().list().await.unwrap();
                app.authy.keys().revoke(&by, &keys.first().unwrap().kid).await.unwrap();
            }
        }
        assert_eq!(status(&mut connection, &user, 10).await, 401, "{number}");
    }
}

#[tokio::test]
async fn a_check_fails_when_its_token_has_expired() {
    let app = TestApp::with(|config, _| config.access_ttl = Duration::from_secs(2)).await;
    let (user, mut connection) = (app.user().await, Connection::open(app.address).await);
    for _ in 0..2 {
        assert_eq!(status(&mut connection, &user, 10).await, 200);
    }
    let connection = tokio::sync::Mutex::new(connection);
    let is_refused = || async { status(&mut *connection.lock().await, &user, 10).await == 401 };
    until("the token has expired", is_refused).await;
}

#[tokio::test]
async fn memory_answers_only_while_the_revocations_are_known() {
    let database = database::fresh().await;
    let app = TestApp::on(database, MasterKeys::generate().unwrap(), |config, _| {
        config.max_staleness = Duration::from_millis(1500);
    })
    .await;
    let (user, mut connection) = (app.user().await, Connection::open(app.address).await);
    for _ in 0..2 {
        assert_eq!(status(&mut connection, &user, 10).await, 200);
    }
    database::close(&app.database).await;
    let connection = tokio::sync::Mutex::new(connection);
    let is_unknown = || async { status(&mut *connection.lock().await, &user, 10).await == 503 };
    until("nothing is known any more", is_unknown).await;
}

#[tokio::test]
async fn checks_from_memory_are_counted() {
    let app = TestApp::new().await;
    let (user, mut connection) = (app.user().await, Connection::open(app.address).await);
    for _ in 0..5 {
        assert_eq!(status(&mut connection, &user, 10).await, 200);
    }
    assert_eq!(check(&mut connection, &user, "HEAD", "/authy/checkaccess/10", "").await.status, 200);
    let metrics = get(app.address, "/metrics").await.body;
    let route = "route=\"/authy/checkaccess/{level}\"";
    for sample in [
        format!("authy_http_requests_total{{{route},method=\"GET\",status=\"2xx\"}} 5"),
        format!("authy_http_requests_total{{{route},method=\"HEAD\",status=\"2xx\"}} 1"),
        format!("authy_http_request_duration_seconds_count{{{route}}} 6"),
    ] {
        assert!(metrics.contains(&sample), "{sample} is not in {metrics}");
    }
}
