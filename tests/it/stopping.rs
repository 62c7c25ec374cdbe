//! A server that stops: what it still accepts, and when it closes what.

use std::{net::SocketAddr, time::Duration};

use authy_server::Server;
use authy_tests::{
    TestApp, unlimited,
    wire::{KeptConnection, get},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

/// A server that can be stopped, and what [`Server::serve`] returns.
async fn serve(
    app: &TestApp,
    stop_delay: Duration,
) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let mut http = unlimited();
    http.stop_delay = stop_delay;
    let server = Server::new(app.authy.clone(), http);
    (address, stop, tokio::spawn(server.serve(listener, async { drop(stopped.await) })))
}

#[tokio::test]
async fn during_its_delay_a_server_that_stops_is_not_ready_and_answers_everything() {
    let app = TestApp::new().await;
    let (address, stop, serving) = serve(&app, Duration::from_secs(3600)).await;
    let mut idle = KeptConnection::open(address).await;
    assert_eq!(idle.get("/readyz").await.status, 200);
    drop(stop);
    authy_tests::until("it is not ready", || async { get(address, "/readyz").await.status == 503 }).await;
    let report = get(address, "/readyz").await;
    let failed: Vec<_> =
        report.json()["checks"].as_array().unwrap().iter().filter(|check| check["ready"] == false).cloned().collect();
    assert!(failed.len() == 1 && failed[0]["name"] == "running", "{report:?}");
    // A new connection, and one that was idle: each answer is the last.
    let mut new = KeptConnection::open(address).await;
    for connection in [&mut idle, &mut new] {
        let answer = connection.get("/authy/status").await;
        assert_eq!((answer.status, answer.header("connection")), (200, "close"));
        assert_eq!(connection.closed().await, "");
    }
    assert_eq!(get(address, "/livez").await.status, 200, "it should not be restarted");
    serving.abort();
}

#[tokio::test]
async fn after_its_delay_a_server_answers_what_it_has_begun_and_closes_the_rest() {
    let app = TestApp::new().await;
    let (address, stop, serving) = serve(&app, Duration::ZERO).await;
    let (mut parked, mut idle) = (KeptConnection::open(address).await, KeptConnection::open(address).await);
    assert_eq!(parked.get("/authy/status").await.status, 200);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let mut busy = KeptConnection::open(address).await;
    assert_eq!(idle.get("/authy/status").await.status, 200);
    let body = r#"{"username":"nobody","password":"x"}"#;
    let head = "POST /authy/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nexpect: 100-continue";
    busy.write(&format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len())).await;
    // The server asks for the body: it is in the middle of the request.
    assert_eq!(busy.answer().await.status, 100);
    drop(stop);
    assert_eq!((parked.closed().await, idle.closed().await), (String::new(), String::new()));
    busy.write(body).await;
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (401, "close"));
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}
