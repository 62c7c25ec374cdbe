//! Connections: how long they are kept, how many there are, and what HTTP/1.1 requires of their messages.

use std::time::Duration;

use authy_tests::{
    TestApp, credentials,
    wire::{KeptConnection, get, post, raw, send},
};
use futures_util::future::join_all;

#[tokio::test]
async fn an_idle_connection_is_kept_longer_than_a_head_may_take() {
    let app = TestApp::with(|_, http| {
        (http.header_timeout, http.keep_alive) = (Duration::from_millis(200), Duration::from_secs(3600));
    });
    let app = app.await;
    let mut kept = KeptConnection::open(app.address).await;
    assert_eq!(kept.get("/authy/status").await.status, 200);
    // A new connection that sends nothing is closed after the time of a head.
    assert_eq!(KeptConnection::open(app.address).await.closed().await, "");
    // By now the first has been idle for longer.
    let again = kept.get("/authy/status").await;
    assert_eq!((again.status, again.header("connection")), (200, ""));
    kept.write("GET /authy/status HTTP/1.1\r\n").await;
    assert_eq!(kept.closed().await, "", "a head that does not end");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let app = TestApp::with(|_, http| http.keep_alive = Duration::from_millis(200)).await;
    let mut idle = KeptConnection::open(app.address).await;
    assert_eq!(idle.get("/authy/status").await.status, 200);
    assert_eq!(idle.closed().await, "");
}

#[tokio::test]
async fn the_rest_of_a_head_whose_beginning_came_with_the_request_before_is_read_after_a_while() {
    let app = TestApp::with(|_, http| http.header_timeout = Duration::from_secs(2)).await;
    let mut connection = KeptConnection::open(app.address).await;
    let (line, rest) = ("GET /authy/status HTTP/1.1\r\n", "host: a\r\n\r\n");
    connection.write(&format!("{line}{rest}{line}")).await;
    assert_eq!(connection.answer().await.status, 200);
    // By now it is parked.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    connection.write(rest).await;
    assert_eq!(connection.answer().await.status, 200);
    // And again, with a body.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let login = r#"{"username":"nobody","password":"x"}"#;
    assert_eq!(connection.send("POST /authy/login HTTP/1.1\ncontent-type: application/json", login).await.status, 401);
    assert_eq!(connection.get("/authy/status").await.status, 200);
}

#[tokio::test]
async fn beyond_the_maximum_of_connections_a_client_waits_and_is_answered() {
    let app = TestApp::with(|_, http| {
        http.max_connections = Some(2);
        (http.header_timeout, http.keep_alive) = (Duration::from_millis(200), Duration::from_secs(3600));
    });
    let app = app.await;
    let mut kept = KeptConnection::open(app.address).await;
    assert_eq!(kept.get("/authy/status").await.header("connection"), "");
    // Every one of them finds a place, because the idle ones make way.
    for answer in join_all((0..20).map(|_| get(app.address, "/authy/status"))).await {
        assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    }
    let mut others = [KeptConnection::open(app.address).await, KeptConnection::open(app.address).await];
    let answered = others[0].get("/authy/status").await;
    assert_eq!(answered.status, 200);
    // The idle ones, of whom one has been answered, make way for the next.
    assert_eq!(others[1].get("/authy/status").await.status, 200);
    assert_eq!(kept.closed().await, "");
}

#[tokio::test]
async fn an_answer_that_leaves_a_body_unread_closes_the_connection() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let body = "a".repeat(100_000);
    let unread = [
        ("POST /authy/login", "content-type: application/json", body.as_str(), 413),
        ("POST /authy/login", "content-type: text/plain", "{}", 415),
        ("POST /authy/logout", "content-type: application/json", "{}", 401),
        ("POST /authy/nothing", "content-type: application/json", "{}", 404),
        ("GET /authy/status", "content-type: application/json", "{}", 200),
    ];
    for (request, line, body, status) in unread {
        let mut connection = KeptConnection::open(app.address).await;
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nhost: a\r\n{line}\r\ncontent-length: {length}\r\n\r\n");
        connection.write(&format!("{head}{body}")).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (status, "close"), "{request}");
        assert_eq!(connection.closed().await, "", "{request}");
    }
    // One that has been read, also with an error, keeps the connection.
    let mut connection = KeptConnection::open(app.address).await;
    let login = serde_json::to_string(&credentials(&user.username)).unwrap();
    let chunked = |text: &str| format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    let complete = |text: &str| format!("content-length: {}\r\n\r\n{text}", text.len());
    for (rest, status) in [
        (complete(&login), 200),
        (complete("{}"), 400),
        (complete("["), 400),
        (chunked(&login), 200),
        (complete(""), 400),
    ] {
        let head = "POST /authy/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
        connection.write(&format!("{head}{rest}")).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (status, ""), "{rest}");
    }
}

#[tokio::test]
async fn a_request_of_http_1_1_names_exactly_one_host() {
    let app = TestApp::new().await;
    for lines in ["", "host: a\r\nhost: b\r\n", "host: a\r\nHost: a\r\n", "host: a/b\r\n", "host: a, b\r\n"] {
        let request = format!("GET /authy/status HTTP/1.1\r\n{lines}\r\n");
        let answer = raw(app.address, request.as_bytes()).await.remove(0);
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed_request"), "{lines:?}");
        assert!(answer.body.contains("exactly one Host") && answer.header("connection") == "close", "{answer:?}");
    }
    for request in ["GET /authy/status HTTP/1.0", "GET /authy/status HTTP/1.1\r\nconnection: close\r\nhost:"] {
        assert_eq!(raw(app.address, format!("{request}\r\n\r\n").as_bytes()).await[0].status, 200, "{request}");
    }
}

#[tokio::test]
async fn a_body_that_is_compressed_or_not_utf8_is_refused_and_the_answer_says_how_it_should_be() {
    let app = TestApp::new().await;
    let login = |lines: &str| {
        let head = format!("POST /authy/login HTTP/1.1\ncontent-type: application/json{lines}");
        async move { send(app.address, &head, "\u{1f}\u{8b}").await }
    };
    for lines in ["\ncontent-encoding: gzip", "\ncontent-encoding: deflate"] {
        let answer = login(lines).await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_media_type"), "{lines}");
        assert_eq!(answer.header("accept-encoding"), "identity", "{lines}");
        assert!(answer.body.contains("Content-Encoding"), "{answer:?}");
    }
    let answer = login("; charset=iso-8859-1").await;
    assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_media_type"));
    assert!(answer.body.contains("UTF-8") && answer.header("accept-encoding").is_empty(), "{answer:?}");
    let answer = login("\ntransfer-encoding: gzip, chunked").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed_request"));
    assert!(answer.body.contains("transfer coding"), "{answer:?}");
    assert_eq!(post(app.address, "/authy/login", "{}").await.status, 400, "what is JSON is read");
}
