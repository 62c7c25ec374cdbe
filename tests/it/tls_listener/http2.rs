//! HTTP/2: what its connections bear, and when they end.

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::{
    body::Frame,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

type Body = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// A connection of HTTP/2, and its end.
async fn open(server: &TlsServer) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = server.connect(server.client(&["h2"], None)).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn ask(sender: &mut SendRequest<Body>, path: &str) -> http::Response<hyper::body::Incoming> {
    let request = Request::get(format!("https://localhost{path}")).body(empty()).unwrap();
    timeout(Duration::from_secs(20), sender.send_request(request)).await.expect("no answer").unwrap()
}

async fn ended<T>(connection: JoinHandle<T>) -> T {
    timeout(Duration::from_secs(20), connection).await.expect("it is not closed").unwrap()
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let server = TlsServer::new(&app, |_| ()).await;
    let (sender, _connection) = open(&server).await;
    let check = |_| {
        let mut sender = sender.clone();
        let request = Request::get("https://localhost/authy/checkaccess/99");
        let request = request.header("authorization", format!("Bearer {}", user.token.expose())).body(empty()).unwrap();
        async move { sender.send_request(request).await.unwrap() }
    };
    for answer in join_all((0..500).map(check)).await {
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
        assert!(!answer.headers().contains_key("connection"));
        assert!(answer.headers().contains_key("strict-transport-security"));
    }
    // Larger than a frame.
    let mut sender = sender.clone();
    let document = ask(&mut sender, "/authy/openapi.json").await;
    let length: usize = document.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert_eq!(document.into_body().collect().await.unwrap().to_bytes().len(), length);
    assert!(length > 64 * 1024);
    // Two hosts.
    let request = Request::get("https://localhost/authy").header("host", "other").body(empty()).unwrap();
    let refused = sender.send_request(request).await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(ask(&mut sender, "/authy/status").await.status(), StatusCode::OK, "the connection is kept");
}

#[tokio::test]
async fn head_gets_the_headers_of_get_and_no_body() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let server = TlsServer::new(&app, |_| ()).await;
    let (mut sender, _connection) = open(&server).await;
    // The first is answered from memory the second time.
    for path in ["/authy/checkaccess/99", "/authy/checkaccess/99", "/authy/openapi.json", "/authy", "/authy/nowhere"] {
        let mut answers = Vec::new();
        for method in ["GET", "HEAD"] {
            let request = Request::builder().method(method).uri(format!("https://localhost{path}"));
            let token = format!("Bearer {}", user.token.expose());
            let request = request.header("authorization", token).body(empty()).unwrap();
            let answer = timeout(Duration::from_secs(20), sender.send_request(request)).await.unwrap().unwrap();
            let (status, length) = (answer.status(), answer.headers()["content-length"].to_str().unwrap().to_owned());
            // The client fails when there are bytes in the answer to HEAD.
            let body = answer.into_body().collect().await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            answers.push((status, length, body.to_bytes().len()));
        }
        let (get, head) = (&answers[0], &answers[1]);
        assert_eq!((get.0, &get.1, get.1.parse().ok()), (head.0, &head.1, Some(get.2)), "{path}");
        assert_eq!(head.2, 0, "{path}");
    }
    let (answer, version) = server.curl(&["--http2", "-I"], "/authy/openapi.json").await;
    assert!(
        version == "2" && answer.starts_with("HTTP/2 200") && !answer.contains("\"openapi\""),
        "{version}: {answer}"
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_a_request_is_not() {
    let app = TestApp::new().await;
    let server = TlsServer::new(&app, |http| {
        (http.keep_alive, http.header_timeout) = (Duration::from_millis(500), Duration::from_millis(200));
    })
    .await;
    let (_sender, unused) = open(&server).await;
    ended(unused).await.unwrap();
    let (mut sender, connection) = open(&server).await;
    let request = Request::get("https://localhost/authy/revocations").header("accept", "text/event-stream");
    let stream = sender.send_request(request.body(empty()).unwrap()).await.unwrap();
    let mut stream = stream.into_body();
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let event = timeout(Duration::from_secs(5), stream.frame()).await.expect("silence");
        assert!(event.is_some_and(|event| event.is_ok()), "it was closed after {:?}", begun.elapsed());
    }
    assert_eq!(ask(&mut sender, "/authy/status").await.status(), StatusCode::OK);
    drop(stream);
    ended(connection).await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_answers_what_is_under_way_and_accepts_nothing_more() {
    let app = TestApp::new().await;
    let mut server = TlsServer::new(&app, |http| http.stop_delay = Duration::from_secs(3)).await;
    let (mut sender, connection) = open(&server).await;
    assert_eq!(ask(&mut sender, "/readyz").await.status(), StatusCode::OK);
    server.stop = None;
    while ask(&mut sender, "/readyz").await.status() != StatusCode::SERVICE_UNAVAILABLE {}
    // During the delay it goes on answering, so that a balancer can send what it has ready.
    assert_eq!(ask(&mut sender, "/authy/status").await.status(), StatusCode::OK);
    ended(connection).await.unwrap();

    let mut server = TlsServer::new(&app, |_| ()).await;
    let (mut sender, connection) = open(&server).await;
    let (_idle_sender, idle) = open(&server).await;
    // A handshake that has not begun delays nothing.
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let (parts, body) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let body = futures_util::stream::unfold(body, async |mut body| Some((Ok(Frame::data(body.recv().await?)), body)));
    let request = Request::post("https://localhost/authy/login").header("content-type", "application/json");
    let answer = sender.send_request(request.body(StreamBody::new(body).boxed()).unwrap());
    parts.send(Bytes::from_static(b"{\"username\":\"nobody\",")).unwrap();
    let answer = tokio::spawn(answer);
    // The request has arrived when the next one is answered.
    assert_eq!(ask(&mut sender, "/authy/status").await.status(), StatusCode::OK);
    server.stop = None;
    ended(idle).await.unwrap();
    parts.send(Bytes::from_static(b"\"password\":\"x\"}")).unwrap();
    drop(parts);
    assert_eq!(ended(answer).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    ended(connection).await.unwrap();
    timeout(Duration::from_secs(9), &mut server.serving).await.expect("the stop takes too long").unwrap().unwrap();
}

/// A frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A GET on a stream: HEADERS with END_STREAM and END_HEADERS.
fn request(stream: u32, path: &str) -> Vec<u8> {
    let text = |name: u8, value: &str| [&[name, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    // The indexed GET and https, then path and authority as literals (RFC 7541, appendix A).
    let head = [&[0x82, 0x87][..], &text(0x04, path), &text(0x01, "localhost")].concat();
    frame(1, 0x5, stream, &head)
}

fn begin(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, settings)[..]].concat()
}

/// The next frame: its kind, its stream and its payload; `None` at the end of the connection.
async fn next(stream: &mut TlsStream<TcpStream>) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    let read = timeout(Duration::from_secs(20), stream.read_exact(&mut head)).await.expect("no frame in time");
    read.ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], u32::from_be_bytes(head[5..].try_into().unwrap()), payload))
}

#[tokio::test]
async fn streams_that_are_reset_rapidly_end_their_connection_and_no_other() {
    let app = TestApp::new().await;
    let server = TlsServer::new(&app, |_| ()).await;
    let (mut honest, _connection) = open(&server).await;
    let mut attacker = server.connect(server.client(&["h2"], None)).await;
    let mut bytes = begin(&[]);
    for stream in (1..20_000).step_by(2) {
        bytes.extend(request(stream, "/authy"));
        bytes.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    // The server may close before it has read everything.
    let _ = attacker.write_all(&bytes).await;
    let mut goaway = None;
    while let Some((kind, _, payload)) = next(&mut attacker).await {
        if kind == 7 {
            goaway = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
    }
    println!("GOAWAY with {goaway:?}");
    assert!(goaway.is_none_or(|code| code == 11), "ENHANCE_YOUR_CALM, not {goaway:?}");
    assert_eq!(ask(&mut honest, "/authy/status").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_its_stream_and_no_other() {
    let app = TestApp::new().await;
    let server = TlsServer::new(&app, |http| {
        (http.write_timeout, http.streams.stall) = (Duration::from_millis(300), Duration::from_millis(300));
    })
    .await;
    let mut stream = server.connect(server.client(&["h2"], None)).await;
    // No byte of any body may be sent (SETTINGS_INITIAL_WINDOW_SIZE is 0).
    let requests = [request(1, "/authy/openapi.json"), request(3, "/authy")].concat();
    stream.write_all(&[begin(&[0, 4, 0, 0, 0, 0]), requests].concat()).await.unwrap();
    let mut reset = Vec::new();
    while reset.len() < 2 {
        let (kind, number, payload) = next(&mut stream).await.expect("the connection is closed");
        match kind {
            0 => panic!("a byte of the body: {payload:?}"),
            3 => reset.push(number),
            _ => {}
        }
    }
    reset.sort_unstable();
    assert_eq!(reset, [1, 3]);
    // Then the window is opened (WINDOW_UPDATE), for another stream.
    let more = [request(5, "/authy/status"), frame(8, 0, 5, &1000_u32.to_be_bytes())].concat();
    stream.write_all(&more).await.unwrap();
    while next(&mut stream).await.expect("the connection is closed").0 != 0 {}
}
