//! What is sent, and what is not.

use super::*;

#[tokio::test]
async fn a_server_is_the_same_as_itself() {
    let app = TestApp::new().await;
    let (ada, root) = (app.user().await, app.admin().await);
    let requests = lines(&[
        log_in(&ada.username, PASSWORD),
        log_in(&root.username, PASSWORD),
        log_in(&ada.username, "wrong password"),
        get_as(&ada.username, "/authy/user"),
        json!({ "method": "HEAD", "path": "/authy/user", "token_of": ada.username }),
        get_as(&ada.username, "/authy/checkaccess/1"),
        get_as(&root.username, "/authy/users?per_page=5"),
        get_as(&root.username, &format!("/authy/user/{}", ada.id)),
        json!({ "path": "/authy/user", "headers": { "authorization": format!("Bearer {}", ada.token.expose()) } }),
        json!({ "path": "/authy/nowhere" }),
        json!({ "path": "/authy/ratelimited" }),
        json!({ "path": "/elsewhere" }),
    ]);
    // Both are the same server, at two bases.
    let found = shadow(&app.url(), &format!("{}/authy/", app.url()), &requests, &[]).await;
    assert_eq!(found.code, Some(0), "{found:?}");
    let summary = "12 requests recorded, 11 compared: 11 the same, 0 with intended differences, 0 different";
    assert_eq!(found.report.lines().last(), Some(summary), "{found:?}");
    assert!(found.report.contains("sent with the recorded token, 1"), "{found:?}");
    assert!(found.said.contains("compared 11 of 11 requests"), "{found:?}");
    for secret in [PASSWORD, ada.token.expose()] {
        assert!(!found.report.contains(secret) && !found.said.contains(secret), "{found:?}");
    }
}

#[tokio::test]
async fn compatibility_is_a_difference() {
    let old = TestApp::new().await;
    let new = TestApp::on(old.database.clone(), old.master_keys.clone(), |_, http| {
        http.compat = Some(Compat::Poptape);
    })
    .await;
    let ada = old.user().await;
    let requests = lines(&[
        log_in(&ada.username, PASSWORD),
        json!({ "method": "POST", "path": "/authy/logout", "token_of": ada.username }),
        log_in(&ada.username, &BASE64_STANDARD.encode(PASSWORD)),
    ]);
    let found = shadow(&old.url(), &new.url(), &requests, &[]).await;
    assert_eq!(found.code, Some(3), "{found:?}");
    assert!(found.report.starts_with(
        "POST /authy/login: status 401 -> 200, once\n  first: line 3, POST /authy/login, old \"invalid_credentials\"\n"
    ));
    assert!(found.report.contains("not compared, 1: they would change something"), "{found:?}");

    let found = shadow(&old.url(), &new.url(), &requests, &["--dangerous-replay-writes"]).await;
    assert!(found.report.contains("POST /authy/logout: status 204 -> 200, once"), "{found:?}");
    assert!(found.said.contains("warning: every recorded sign-up"), "{found:?}");
}

#[tokio::test]
async fn only_what_is_safe_to_repeat_is_sent_and_no_more_of_it_than_needed() {
    let body = json!({ "token": "of this side" });
    let receivers = [
        Receiver::start(move |_| answer("200 OK", &body)).await,
        Receiver::start(|_| answer("200 OK", &json!({ "token": "of the other" }))).await,
    ];
    let [old, new] = receivers.each_ref().map(|receiver| format!("http://{}/base", receiver.address));
    let mut requests = vec![log_in("ada", "x")];
    for (method, path) in [
        ("GET", "/authy/validate/Code1"),
        ("HEAD", "/authy/validate/Code1"),
        ("POST", "/authy/user"),
        ("PUT", "/authy/user/1"),
        ("DELETE", "/authy/user"),
        ("PATCH", "/authy/user"),
        ("POST", "/authy/password/forgot"),
    ] {
        requests.push(json!({ "method": method, "path": path }));
    }
    let headers = json!({
        "Cookie": "session=1", "Host": "shop.example", "X-Forwarded-For": "192.0.2.1", "Accept": "text/html",
        "Content-Length": "7", "Connection": "upgrade", "x-access-token": "recorded", "User-Agent": "Firefox",
    });
    requests.push(json!({ "path": "https://shop.example/api/authy/user?a=b", "headers": headers, "token_of": "ada" }));
    let found = shadow(&old, &new, &lines(&requests), &[]).await;
    assert!(found.report.contains("not compared, 7: they would change something"), "{found:?}");
    for (receiver, token) in receivers.iter().zip(["of this side", "of the other"]) {
        let received = receiver.received();
        let sent: Vec<_> = received.iter().map(|request| request.line.as_str()).collect();
        assert_eq!(sent, ["POST /base/authy/login HTTP/1.1", "GET /base/authy/user?a=b HTTP/1.1"]);
        let request = &received[1];
        assert_eq!((request.header("x-access-token"), request.header("accept")), (token, "text/html"));
        assert!(request.header("user-agent").ends_with("(shadow)"), "{request:?}");
        assert_eq!(request.header("host"), receiver.address.to_string());
        for name in ["cookie", "x-forwarded-for", "connection"] {
            assert_eq!(request.header(name), "", "{name}");
        }
    }

    let found = shadow(&old, &new, &lines(&requests), &["--dangerous-replay-writes"]).await;
    assert!(found.report.contains("9 compared"), "{found:?}");
    assert_eq!(receivers[0].received().len(), 2 + 9);
}

#[tokio::test]
async fn an_answer_of_any_kind_is_compared() {
    let app = TestApp::new().await;
    let request = lines(&[json!({ "path": "/authy/status" })]);
    let endless = [b"HTTP/1.1 200 x\r\ncontent-type: application/json\r\n\r\n".as_slice(), &[b' '; 4096]].concat();
    for (reaction, difference) in [
        (answer("500 x", &json!({})), "status 500 -> 200"),
        (Reaction::Status(200), "body none -> JSON"),
        (
            Reaction::Bytes(b"HTTP/1.1 200 x\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>".to_vec()),
            "body a text -> JSON",
        ),
        (
            Reaction::Bytes(b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n{".to_vec()),
            "body an answer that ends early -> an answer",
        ),
        (Reaction::Endless(endless), "body more than 1 MiB -> JSON"),
        (Reaction::Close, "body no answer -> an answer"),
        (Reaction::Bytes(b"\x16\x03\x01 no http at all".to_vec()), "body no answer -> an answer"),
        (Reaction::Hang, "body no answer within 10 s -> an answer"),
        (answer("200 OK", &json!([{ "version": "\u{1b}[31m" }])), "field (the whole) differs"),
        (answer("200 OK", &json!({ "message": 1, "old": "\u{1b}[31m" })), "field old is missing in the new answer"),
    ] {
        let receiver = Receiver::start(move |_| reaction.clone()).await;
        let found = shadow(&format!("http://{}", receiver.address), &app.url(), &request, &[]).await;
        assert_eq!(found.code, Some(3), "{difference}: {found:?}");
        let expected = format!("GET /authy/status: {difference}, once\n");
        assert!(found.report.starts_with(&expected) && !found.report.contains('\u{1b}'), "{difference}: {found:?}");
    }

    let receiver = Receiver::start(|_| Reaction::Status(429)).await;
    let found = shadow(&format!("http://{}", receiver.address), &app.url(), &request, &[]).await;
    assert!(
        found.code == Some(3)
            && found.report.contains("not compared, 1: one of both servers refused them by a rate limit"),
        "{found:?}"
    );
}
