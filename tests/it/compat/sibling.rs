//! A service in Python that asks about every request, as the siblings of the first authy do, unchanged against a server of
//! today, against the first authy, and against answers as it gave them.

use std::{net::SocketAddr, process::Stdio};

use authy_tests::{
    first_authy::FirstAuthyProgram,
    old_database,
    receiver::{Reaction, Receiver},
    tools,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::*;

struct Sibling {
    address: SocketAddr,
    _process: Child,
}

impl Sibling {
    async fn start(authy: SocketAddr) -> Self {
        let mut command = Command::new(tools::python());
        command.arg(tools::root().join("examples/flask-sibling/sibling.py")).arg(format!("http://{authy}"));
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("it ended");
        let address = line.trim_start_matches("listening on http://").parse().unwrap();
        Self { address, _process: process }
    }

    async fn ask(&self, token: Option<&str>) -> Answer {
        let token = token.map(|token| format!("\nx-access-token: {token}")).unwrap_or_default();
        send(self.address, &format!("GET /watchlist HTTP/1.1{token}"), "").await
    }
}

#[tokio::test]
async fn a_sibling_in_python_lets_pass_whom_a_server_of_today_knows() {
    for app in [app().await, TestApp::new().await] {
        let sibling = Sibling::start(app.address).await;
        let (user, guest) = (app.user().await, app.user_with_role("guest").await);
        let answer = sibling.ask(Some(user.token.expose())).await;
        assert_eq!((answer.status, &answer.json()["public_id"]), (200, &json!(user.id)));
        user.client.logout().await.unwrap();
        for token in [None, Some("nonsense"), Some(user.token.expose()), Some(guest.token.expose())] {
            assert_eq!(sibling.ask(token).await.status, 401, "{token:?}");
        }
        app.stop().await;
        assert_eq!(sibling.ask(Some(user.token.expose())).await.status, 503);
    }
}

#[tokio::test]
async fn the_same_sibling_lets_pass_whom_the_first_authy_knows() {
    let users: Vec<_> =
        old_database::users().into_iter().filter(|user| user.username.as_deref() == Some("ada")).collect();
    let program = FirstAuthyProgram::start(&users).await;
    let address: SocketAddr = program.url.trim_start_matches("http://").parse().unwrap();
    let sibling = Sibling::start(address).await;
    let body = json!({ "username": "ada", "password": base64(&users[0].password) }).to_string();
    let token = post(address, "/authy/login", &body).await.json()["token"].as_str().unwrap().to_owned();
    let answer = sibling.ask(Some(&token)).await;
    assert_eq!((answer.status, answer.json()["public_id"].as_str()), (200, users[0].public_id.as_deref()));
    for token in [None, Some("nonsense"), Some(&token[1..])] {
        assert_eq!(sibling.ask(token).await.status, 401, "{token:?}");
    }
    drop(program);
    assert_eq!(sibling.ask(Some(&token)).await.status, 503);
}

#[tokio::test]
async fn the_same_sibling_lets_pass_only_whom_an_answer_of_the_first_authy_names() {
    let json = |status: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close");
        Reaction::Bytes(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
    };
    let receiver = Receiver::start(|_| Reaction::Close).await;
    let sibling = Sibling::start(receiver.address).await;
    for (reaction, status) in [
        (json("200 OK", r#"{"message":"Access granted","public_id":"f38ba39a-3682-4803-a498-659f0bf05304"}"#), 200),
        (json("401 UNAUTHORIZED", r#"{"message":"Access denied"}"#), 401),
        (json("200 OK", r#"{"message":"Access granted"}"#), 401),
        (json("200 OK", r#"{"public_id":""}"#), 401),
        (json("201 CREATED", r#"{"public_id":"f38ba39a-3682-4803-a498-659f0bf05304"}"#), 401),
        (json("500 INTERNAL SERVER ERROR", "{}"), 401),
        (json("302 FOUND\r\nlocation: http://127.0.0.1:1/", ""), 401),
        (json("200 OK", "<html>"), 503),
        (json("200 OK", "[]"), 503),
        (Reaction::Close, 503),
    ] {
        receiver.react(move |_| reaction.clone());
        assert_eq!(sibling.ask(Some("a.b.c")).await.status, status, "{:?}", receiver.received().last());
    }
    let received = receiver.received();
    let request = &received[0];
    assert_eq!(request.line, "GET /authy/checkaccess/10 HTTP/1.1");
    assert_eq!((request.header("x-access-token"), request.header("content-type")), ("a.b.c", "application/json"));
}
