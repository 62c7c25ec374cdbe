//! Requests as bytes, and answers as they come: what no well-behaved client would send, and what every answer must
//! have.

#![cfg(test)]

use std::{net::SocketAddr, time::Duration};

use authy_core::{
    Authy,
    engine::{Config, MasterKeys},
};
use authy_postgres::Cluster;
use authy_server::{HttpConfig, RateLimits, Server};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

/// A server on a database of its own. Its parts end in this order: requests, server, database, folder.
struct TestServer {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    _cluster: Cluster,
    _folder: tempfile::TempDir,
}

impl TestServer {
    async fn new(change: impl FnOnce(&mut HttpConfig)) -> Self {
        let folder = tempfile::Builder::new().prefix("authy-http-").tempdir().unwrap();
        // PostgreSQL runs as a user of its own when the tests are run by root, and has to get in.
        #[cfg(unix)]
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
        let mut config = Config::default();
        config.hash.argon2 = "m=8,t=1,p=1".parse().unwrap();
        let authy = Authy::builder(cluster.config())
            .without_background()
            .master_keys(MasterKeys::generate().unwrap())
            .config(config);
        let authy = authy.start().await.unwrap();
        let off = || "off".parse().unwrap();
        let mut http = HttpConfig {
            limits: RateLimits { login: off(), register: off(), validate: off(), forgot: off(), default: off() },
            body_timeout: Duration::from_millis(300),
            ..HttpConfig::default()
        };
        change(&mut http);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(Server::new(authy, http).serve(listener, async { drop(stopped.await) }));
        Self { address, stop, serving, _cluster: cluster, _folder: folder }
    }

    /// Everything the server sends until it closes.
    async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer before it has read everything, but it must not reset the connection meanwhile.
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(&mut stream).await
    }

    /// The only answer to a request that is given by its first lines.
    async fn send(&self, head: &str, body: &str) -> RawAnswer {
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = head.replace('\n', "\r\n");
        RawAnswer::of(&self.raw(format!("{head}\r\nhost: localhost\r\nconnection: close\r\n{length}\r\n{body}")).await)
    }

    async fn get(&self, path: &str) -> RawAnswer {
        self.send(&format!("GET {path} HTTP/1.1"), "").await
    }

    async fn post(&self, path: &str, body: &str) -> RawAnswer {
        self.send(&format!("POST {path} HTTP/1.1\ncontent-type: application/json"), body).await
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    timeout(Duration::from_secs(20), stream.read_to_end(&mut received)).await.expect("no end in time").unwrap();
    String::from_utf8(received).unwrap()
}

#[derive(Debug)]
struct RawAnswer {
    status: u16,
    head: String,
    body: String,
}

impl RawAnswer {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: format!("{head}\r\n"), body: body.to_owned() }
    }

    fn header(&self, name: &str) -> &str {
        let (_, rest) = self.head.split_once(&format!("\r\n{name}: ")).unwrap_or(("", "\r\n"));
        rest.split("\r\n").next().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The status and the code of a problem document, which has all that every one has.
    fn problem(&self) -> (u16, String) {
        let problem = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{self:?}");
        assert_eq!(self.header("content-length"), self.body.len().to_string(), "{self:?}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{self:?}");
        assert_eq!(problem["status"], self.status, "{self:?}");
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn what_is_no_http_is_refused_like_everything_else() {
    let server = TestServer::new(|_| ()).await;
    let big = "a".repeat(10_000_000);
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    let refused = [
        (431, format!("GET /authy/status HTTP/1.1\r\nhost: localhost\r\nx-big: {big}\r\n\r\n")),
        (431, format!("GET /authy/status HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")),
        (414, format!("GET /authy/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", &big[..70_000])),
        (400, "GET /authy/status HTTP/1.1\r\nhost: local\0host\r\n\r\n".to_owned()),
        (400, "\u{16}\u{3}\u{1}\u{2} hello, TLS\r\n\r\n".to_owned()),
    ];
    for (status, bytes) in refused {
        let answer = RawAnswer::of(&server.raw(&bytes).await);
        assert_eq!(answer.problem(), is(status, "malformed_request"), "{}", &bytes[..40]);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_up_to_the_one_that_is_no_http() {
    let server = TestServer::new(|_| ()).await;
    let get = |path: &str, id: u32| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-request-id: r{id}\r\n\r\n");
    let requests = [&get("/authy/status", 1), &get("/authy/user", 2), &get("/authy/status", 3), "\0\r\n\r\n"].concat();
    let received = server.raw(requests).await;
    let answers: Vec<_> = received.split("HTTP/1.1 ").skip(1).collect();
    let expected = [("200", "r1"), ("401", "r2"), ("200", "r3"), ("400", "x-request-id")];
    assert_eq!(answers.len(), expected.len(), "{received}");
    for (answer, (status, id)) in answers.iter().zip(expected) {
        assert!(answer.starts_with(status) && answer.contains(id), "{answer}");
    }
}

#[tokio::test]
async fn old_clients_and_heads_are_answered() {
    let server = TestServer::new(|_| ()).await;
    let old = RawAnswer::of(&server.raw("GET /authy/status HTTP/1.0\r\n\r\n").await);
    assert_eq!((old.status, old.json()["version"].as_str()), (200, Some(env!("CARGO_PKG_VERSION"))));
    let get = server.get("/authy/status").await;
    let head = server.send("HEAD /authy/status HTTP/1.1", "").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.as_str()),
        (200, get.header("content-length"), "")
    );
    let head = server.send("HEAD /authy/user HTTP/1.1", "").await;
    assert_eq!((head.status, head.body.as_str()), (401, ""));
}

#[tokio::test]
async fn unknown_paths_and_unknown_methods_get_different_answers() {
    let server = TestServer::new(|_| ()).await;
    for path in ["/", "/authy/", "/authy/status/", "/authy/fetch/a%2Fb", "/authy/fetch/abc%00", "/authy/fetch/%ff"] {
        assert_eq!(server.get(path).await.problem(), is(404, "not_found"), "{path}");
    }
    let wrong = server.send("PATCH /authy/user HTTP/1.1", "").await;
    assert_eq!(wrong.problem(), is(405, "method_not_allowed"));
    assert_eq!(wrong.header("allow"), "OPTIONS, HEAD, POST, GET, DELETE");
    let options = server.send("OPTIONS /authy/login HTTP/1.1", "").await;
    assert_eq!((options.status, options.header("allow"), options.body.as_str()), (204, "OPTIONS, POST", ""));
}

#[tokio::test]
async fn a_body_has_a_size_a_time_and_a_type() {
    let server = TestServer::new(|_| ()).await;
    let large = format!("{{\"username\":\"{}\"}}", "a".repeat(100_000));
    assert_eq!(server.post("/authy/login", &large).await.problem(), is(413, "body_too_large"));

    let head = "POST /authy/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let chunks = format!("1000\r\n{}\r\n", "a".repeat(4096)).repeat(40);
    let chunked =
        RawAnswer::of(&server.raw(format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")).await);
    assert_eq!(chunked.problem(), is(413, "body_too_large"));
    let broken = RawAnswer::of(&server.raw(format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n")).await);
    assert_eq!(broken.problem(), is(400, "malformed_request"));
    let slow = RawAnswer::of(&server.raw(format!("{head}content-length: 100\r\n\r\n{{")).await);
    assert_eq!(slow.problem(), is(408, "request_timeout"));

    for wrong in ["", "\ncontent-type: text/plain", "\ncontent-type: application/x-www-form-urlencoded"] {
        let answer = server.send(&format!("POST /authy/login HTTP/1.1{wrong}"), "{}").await;
        assert_eq!(answer.problem(), is(415, "unsupported_media_type"), "{wrong}");
    }
    for right in ["application/json; charset=utf-8", "application/problem+json", "APPLICATION/JSON"] {
        let answer = server.send(&format!("POST /authy/login HTTP/1.1\ncontent-type: {right}"), "{}").await;
        assert_eq!(answer.problem(), is(400, "invalid_input"), "{right}");
    }
    let get = server.send("GET /authy/status HTTP/1.1\ncontent-type: text/plain", "tolerated").await;
    assert_eq!(get.status, 200, "{get:?}");
}

#[tokio::test]
async fn no_request_takes_longer_than_the_deadline() {
    let server = TestServer::new(|http| {
        http.request_timeout = Duration::from_millis(200);
        http.body_timeout = Duration::from_secs(60);
        http.header_timeout = Duration::from_millis(200);
    })
    .await;
    let head = "POST /authy/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let late = RawAnswer::of(&server.raw(format!("{head}content-length: 100\r\n\r\n{{")).await);
    assert_eq!((late.problem(), late.header("retry-after")), (is(503, "unavailable"), "1"));
    assert_eq!(server.raw(head).await, "", "half a head, and then nothing");
    assert_eq!(server.raw("").await, "", "nothing at all");
}

#[tokio::test]
async fn json_that_cannot_be_trusted_is_refused_with_its_place() {
    let server = TestServer::new(|_| ()).await;
    let deep = format!("{{\"username\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let wrong = [
        "{\n\"username\" \"a\"}",
        "[]",
        "1",
        "{\"username\":\"a\"",
        "{} {}",
        "{\"username\":\"\\ud800\"}",
        &deep,
        "{\"username\":\"a\",\"username\":\"b\",\"password\":\"c\"}",
    ];
    for body in wrong {
        let answer = server.post("/authy/login", body).await;
        assert_eq!(answer.problem(), is(400, "malformed_json"), "{body:.60}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(" at line ") && message.contains(" column "), "{message}");
    }
    let nul = server.post("/authy/login", r#"{"username":"a\u0000b","password":"\u0000"}"#).await;
    assert_eq!(nul.problem(), is(401, "invalid_credentials"));
    let fields =
        server.post("/authy/user", r#"{"username":"a\u0000b","email":"a\u0000@b.cc","password":1,"x":2}"#).await;
    assert_eq!(fields.problem(), is(400, "invalid_input"));
    let fields = fields.json()["fields"].as_array().unwrap().clone();
    let fields: Vec<_> = fields.iter().map(|field| field["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["username", "email", "password", "confirm_password", "x"]);
}

#[tokio::test]
async fn a_request_keeps_its_name_when_it_is_a_plain_one() {
    let server = TestServer::new(|_| ()).await;
    let named = |id: &str| format!("GET /authy/status HTTP/1.1\nx-request-id: {id}");
    assert_eq!(server.send(&named("Order-7_a.b"), "").await.header("x-request-id"), "Order-7_a.b");
    for wrong in ["", "a b", "a/b", "é", &"a".repeat(65)] {
        let fresh = server.send(&named(wrong), "").await;
        let fresh = fresh.header("x-request-id");
        assert!(fresh.len() == 32 && fresh.bytes().all(|b| b.is_ascii_hexdigit()), "{wrong}: {fresh}");
    }
}

#[tokio::test]
async fn tokens_are_required_and_must_not_differ() {
    let server = TestServer::new(|_| ()).await;
    let with = |lines: &str| format!("GET /authy/user?x-access-token=abc&access_token=abc HTTP/1.1{lines}");
    let none = server.send(&with(""), "").await;
    assert_eq!((none.problem(), none.header("www-authenticate")), (is(401, "token_required"), "Bearer"));
    let bad = server.send(&with("\nx-access-token: abc\nauthorization: bearer abc"), "").await;
    assert_eq!(bad.problem(), is(401, "invalid_token"));
    assert_eq!(bad.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    for lines in ["\nx-access-token: a\nauthorization: Bearer b", "\nx-access-token: a\nx-access-token: b"] {
        assert_eq!(server.send(&with(lines), "").await.problem(), is(400, "conflicting_tokens"));
    }
}

#[tokio::test]
async fn an_address_has_limits_and_the_answers_show_them() {
    let server = TestServer::new(|http| {
        http.limits.default = "3/hour".parse().unwrap();
        http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let from = |path: &str, client: &str| format!("GET {path} HTTP/1.1\nx-forwarded-for: 203.0.113.9, {client}");
    for (path, left) in [("/authy/status", 2), ("/nothing", 1), ("/authy/user", 0)] {
        let answer = server.send(&from(path, "198.51.100.1"), "").await;
        assert_eq!(answer.header("ratelimit-policy"), "\"default-hour\";q=3;w=3600");
        assert!(answer.header("ratelimit").starts_with(&format!("\"default-hour\";r={left};t=")), "{answer:?}");
    }
    let refused = server.send(&from("/authy/status", "198.51.100.1"), "").await;
    assert_eq!(refused.problem(), is(429, "rate_limited"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1100..=1200).contains(&wait), "{wait}");
    assert_eq!(server.send(&from("/authy/status", "198.51.100.2"), "").await.status, 200, "another client");
    assert_eq!(server.send(&from("/.well-known/jwks.json", "198.51.100.1"), "").await.status, 200, "exempt");
    let always = server.send(&from("/authy/ratelimited", "198.51.100.3"), "").await;
    assert_eq!((always.problem(), always.header("retry-after")), (is(429, "rate_limited"), "1"));
}

#[tokio::test]
async fn https_can_be_required_and_only_a_trusted_proxy_vouches_for_it() {
    let require = |http: &mut HttpConfig| http.require_https = true;
    let server = TestServer::new(|http| {
        require(http);
        http.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    assert_eq!(server.get("/authy").await.problem(), is(403, "https_required"));
    assert_eq!(server.get("/authy/status").await.status, 200, "for load balancers");
    let secure = server.send("GET /authy HTTP/1.1\nx-forwarded-proto: https", "").await;
    assert_eq!((secure.status, secure.header("strict-transport-security")), (200, "max-age=31536000"));

    let server = TestServer::new(require).await;
    let forged = server.send("GET /authy HTTP/1.1\nx-forwarded-proto: https", "").await;
    assert_eq!((forged.problem(), forged.header("strict-transport-security")), (is(403, "https_required"), ""));
}

#[tokio::test]
async fn pages_of_configured_origins_may_call() {
    let server = TestServer::new(|http| http.cors_origins = vec!["https://shop.example".to_owned()]).await;
    let preflight =
        |origin: &str| format!("OPTIONS /authy/login HTTP/1.1\norigin: {origin}\naccess-control-request-method: POST");
    let allowed = server.send(&preflight("https://shop.example"), "").await;
    assert_eq!((allowed.status, allowed.header("vary")), (204, "Origin"));
    assert_eq!(allowed.header("access-control-allow-origin"), "https://shop.example");
    assert_eq!(allowed.header("access-control-allow-methods"), "OPTIONS, POST");
    for header in ["authorization", "content-type", "x-access-token", "x-device-token"] {
        assert!(allowed.header("access-control-allow-headers").contains(header), "{header}");
    }
    let failed = server.send("GET /authy/user HTTP/1.1\norigin: https://shop.example", "").await;
    assert_eq!((failed.status, failed.header("access-control-allow-origin")), (401, "https://shop.example"));
    assert!(failed.header("access-control-expose-headers").contains("x-request-id"));
    for other in ["https://evil.example", "null", "https://shop.example.evil.example", "http://shop.example"] {
        assert!(!server.send(&preflight(other), "").await.head.contains("access-control"), "{other}");
    }
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_has_begun() {
    let server = TestServer::new(|http| http.body_timeout = Duration::from_secs(10)).await;
    let mut begun = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /authy/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    begun.write_all(format!("{head}expect: 100-continue\r\ncontent-length: 2\r\n\r\n").as_bytes()).await.unwrap();
    // "100 Continue" says that the body is being waited for.
    let mut interim = [0; 25];
    begun.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /authy/status HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_ne!(idle.read(&mut [0; 1024]).await.unwrap(), 0);

    server.stop.send(()).unwrap();
    read_to_end(&mut idle).await;
    drop(idle);
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
    begun.write_all(b"{}").await.unwrap();
    let answer = RawAnswer::of(&read_to_end(&mut begun).await);
    assert_eq!(answer.problem(), is(400, "invalid_input"));
    drop(begun);
    timeout(Duration::from_secs(5), server.serving).await.unwrap().unwrap().unwrap();
}
