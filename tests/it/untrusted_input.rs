//! Any bytes that an anonymous client can send over a socket: each request is answered or the connection is closed, in
//! time; nothing panics, nothing is an internal error, and the server goes on.

use std::{sync::Arc, time::Duration};

use authy_core::{
    Authy, ClientInfo,
    engine::{Caller, MasterKeys},
};
use authy_tests::{SERVER_PROCESS_ISSUER, at_once, cheap, credentials, database, fresh_name, new_account, operator};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree as _,
    test_runner::TestRunner,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::crash::server_process::{Environment, ServerProcess};

/// How many requests are sent, all at once.
const REQUESTS: usize = 400;

/// A body that does not come, then a connection that idles: ten seconds each, two to close it, and a busy machine.
const REPLY_TIMEOUT: Duration = Duration::from_secs(40);

const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "get", "", "G\0T", "é"];

const TARGETS: &[&str] = &[
    "/authy",
    "/authy/status",
    "/authy/login",
    "/authy/token",
    "/authy/user",
    "/authy/users",
    "/authy/users?q=%00",
    "/authy/users?q=%ff",
    "/authy/users?q=%C3%A4%25_&page=1&per_page=100",
    "/authy/event?after=%00&limit=0",
    "/authy/event",
    "/authy/role/%00%00%00",
    "/authy/role/a%2Fb/users",
    "/authy/fetch/%C0%AF",
    "/authy/fetch/%00abc",
    "/authy/fetch/%",
    "/authy/username/00000000-0000-4000-8000-000000000000",
    "/authy/validate/%00",
    "/authy/checkaccess/-1",
    "/authy/revocations?after=1-2",
    "/authy/revocations?after=18446744073709551615-18446744073709551615",
    "/authy/password/forgot",
    "/authy/password/reset",
    "/.well-known/jwks.json",
    "http://localhost/authy/status",
    "localhost:80",
    "*",
    "",
    "//",
    "/authy/../authy",
    "/authy?a=1&a=2",
    "/\u{301}",
    "/authy/status#a",
];

const LINES: &[&str] = &[
    "host: localhost",
    "host: localhost",
    "host: localhost",
    "host: a, b",
    "host:",
    "Host : localhost",
    "connection: close",
    "connection: upgrade",
    "upgrade: h2c",
    "expect: 100-continue",
    "content-type: application/json",
    "content-type: \u{e9}",
    "content-length: 0",
    "content-length: 5",
    "content-length: 5, 6",
    "content-length: -1",
    "content-length: 99999999999999999999",
    "content-length: 65537",
    "transfer-encoding: chunked",
    "transfer-encoding: gzip, chunked",
    "transfer-encoding: identity",
    "x-request-id: a\tb",
    "x-request-id: 0123456789",
    "x-access-token: a.b.c",
    "authorization: Bearer",
    "authorization: Bearer a",
    "x-forwarded-for: ::1, 999.1.1.1",
    "x-device-token: a.1.b",
    "user-agent: \u{0}",
    "last-event-id: 1-2",
    " folded",
    "no colon",
    ": no name",
    "a\u{0}b: c",
    "origin: null",
    "access-control-request-method: PUT",
    "accept: text/html",
    "sec-purpose: prefetch",
];

const BODIES: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    "{\"a\":",
    r#"{"username":"ada","password":"wrong"}"#,
    r#"{"username":"\u0000","password":"\ud800"}"#,
    r#"{"username":"a\u0000b","email":"a\u0000@b.example","password":"aaaaaaaa","confirm_password":"aaaaaaaa"}"#,
    r#"{"refresh_token":"00000000-0000-4000-8000-000000000000.1.AAAA"}"#,
    r#"{"email":"a@b.example"}"#,
    r#"{"name":"a\u0000b","description":"a\u0000bcde","level":1e400}"#,
    r#"{"code":"\u0000","password":"a","confirm_password":"a"}"#,
    "5\r\n{\"a\":\r\n0\r\n\r\n",
    "ffffffffffffffff1\r\n",
    "-1\r\n",
    "0;\r\n\r\n",
    "5\r\n",
    "GET /authy/status HTTP/1.1\r\n\r\n",
];

/// A request that is nearly one: each part may be wrong, and at the end some bytes are.
fn requests(token: String) -> impl Strategy<Value = Vec<u8>> {
    let version = select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "http/1.1"][..]);
    let end = select(&["\r\n", "\r\n", "\r\n", "\n", "\r"][..]);
    let line = prop_oneof![
        12 => select(LINES).prop_map(|line| line.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 0..60),
        1 => (1_usize..80_000).prop_map(|length| [b"x-long: ".to_vec(), b"a".repeat(length)].concat()),
        1 => (1_usize..150).prop_map(|count| b"a: b\r\n".repeat(count)),
    ];
    // The token of a powerful user, or none; it does not delete its own account.
    let token =
        prop::bool::ANY.prop_map(move |with| if with { format!("x-access-token: {token}") } else { String::new() });
    let body = prop_oneof![
        6 => select(BODIES).prop_map(|body| body.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..200),
        1 => (1_usize..100_000).prop_map(|length| b"[".repeat(length)),
    ];
    let has_length = prop::bool::weighted(0.7);
    let changes = vec((any::<Index>(), any::<u8>()), 0..3);
    let parts = (select(METHODS), select(TARGETS), version, end, vec(line, 0..6), token, body, has_length, changes);
    parts.prop_map(|(method, target, version, end, lines, token, body, has_length, changes)| {
        let mut head = format!("{method} {target} {version}{end}").into_bytes();
        for line in lines {
            head.extend(line);
            head.extend(end.as_bytes());
        }
        if !token.is_empty() && method != "DELETE" {
            head.extend(format!("{token}{end}").as_bytes());
        }
        if has_length {
            let json =
                format!("host: localhost{end}content-type: application/json{end}content-length: {}{end}", body.len());
            head.extend(json.as_bytes());
        }
        for (index, byte) in changes {
            *index.get_mut(&mut head) = byte;
        }
        [head, end.as_bytes().to_vec(), body].concat()
    })
}

/// What HTTP forbids, or leaves open to two readings.
fn malformed() -> Vec<Vec<u8>> {
    let get = "GET /authy/status HTTP/1.1\r\nhost: localhost\r\n";
    let post = "POST /authy/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let mut all: Vec<_> = [
        "\r\n\r\n".to_owned(),
        "GET /authy/status HTTP/1.1\r\n\r\n".to_owned(),
        "GET /authy/status\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("{get}host: other\r\n\r\n"),
        format!("{get}a: \0\r\n\r\n"),
        format!("{get}a : b\r\n\r\n"),
        format!("{get}a: b\r\n c\r\n\r\n"),
        format!("{get}{}\r\n", "a: b\r\n".repeat(200)),
        format!("{get}a: {}\r\n\r\n", "b".repeat(1_000_000)),
        format!("GET /authy/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70_000)),
        format!("GET /authy/users?{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "%".repeat(60_000)),
        format!("{post}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"),
        format!("{post}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n"),
        format!("{post}transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
        format!("{post}content-length: 18446744073709551616\r\n\r\n"),
        format!("{post}content-length: 10\r\n\r\n{{"),
    ]
    .map(String::into_bytes)
    .into();
    // The hello of TLS, and nothing but zeros.
    all.extend([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), vec![0; 100_000]]);
    all
}

/// Sends bytes and reads until the server closes.
async fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    // A server may answer and close before it has read everything.
    let written = async { drop(writer.write_all(bytes).await) };
    let mut received = Vec::new();
    let read = async { drop(reader.read_to_end(&mut received).await) };
    let ended = timeout(REPLY_TIMEOUT, async { tokio::join!(written, read) }).await;
    assert!(ended.is_ok(), "neither answered nor closed: {}", shown(bytes));
    received
}

fn shown(bytes: &[u8]) -> String {
    format!("{} bytes: {}", bytes.len(), bytes[..bytes.len().min(600)].escape_ascii())
}

/// The statuses in what a server wrote.
fn statuses(received: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(received);
    let answers = text.split("HTTP/1.").skip(1).filter(|rest| rest.starts_with(['0', '1']));
    answers.filter_map(|rest| rest.get(2..5)?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_comes_over_a_socket_is_answered_or_closed() {
    let (database, keys, folder) = (database::fresh().await, MasterKeys::generate().unwrap(), database::folder());
    let mut config = cheap();
    config.issuer = Some(SERVER_PROCESS_ISSUER.to_owned());
    let authy = Authy::builder(database.clone())
        .without_background()
        .master_keys(keys.clone())
        .config(config)
        .start()
        .await
        .unwrap();
    let name = fresh_name("root");
    authy.users().create(&operator(), new_account(&name, "superadmin")).await.unwrap();
    let caller = Caller::anonymous(ClientInfo::default());
    let token = authy.sessions().login(&caller, credentials(&name)).await.unwrap().token.expose().to_owned();
    let sql = Arc::new(database::connect(&database).await);
    let environment = Environment { database, sql, keys, record: folder.path().join("record"), pace: "stream" };
    let server = ServerProcess::start_threaded(&environment).await;
    let address: Arc<str> = server.address.as_str().into();

    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    let nearly = requests(token);
    let mut all = malformed();
    while all.len() < REQUESTS {
        all.push(nearly.new_tree(&mut runner).unwrap().current());
    }
    let all = Arc::new(all);
    let answers = at_once(all.len(), |number| {
        let (address, all) = (address.clone(), all.clone());
        async move { exchange(&address, &all[number]).await }
    });
    let mut answered = 0;
    for (bytes, received) in all.iter().zip(answers.await) {
        let statuses = statuses(&received);
        assert!(received.is_empty() || !statuses.is_empty(), "no HTTP: {} to {}", shown(&received), shown(bytes));
        assert!(!statuses.contains(&500), "an internal error: {} to {}", shown(&received), shown(bytes));
        answered += usize::from(!statuses.is_empty());
    }
    // Otherwise nothing was tried.
    assert!(answered > all.len() / 2, "{answered} of {}", all.len());

    server.client.get_status().await.unwrap();
    server.client.login(credentials(&name)).await.unwrap();
    let said = server.kill().await;
    assert!(!said.contains("panicked"), "{said}");
}
