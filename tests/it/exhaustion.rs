//! The cost of an anonymous request: bounded before any work is done for it.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use authy_client::Client;
use authy_core::{ErrorKind, Secret, UserId, api::session::RefreshToken};
use authy_tests::{
    PASSWORD, SERVER_PROCESS_ISSUER, TestApp, at_once, credentials, fresh_name, until,
    wire::{get, send},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, ChildStdin, Command},
    time::timeout,
};
use tokio_postgres::config::Host;

#[tokio::test]
async fn a_query_is_bounded_where_one_is_declared_and_ignored_elsewhere() {
    let app = TestApp::new().await;
    let many: String = (0..5_000).map(|number| format!("x{number}=&")).collect();
    for path in ["/authy/.well-known/jwks.json", "/authy/status", "/authy"] {
        assert_eq!(get(app.address, &format!("{path}?{many}")).await.status, 200, "{path}");
    }
    let few = "x=1&".repeat(64);
    let read = get(app.address, &format!("/authy/revocations?{few}")).await;
    assert_eq!((read.status, read.code().as_str()), (400, "invalid_input"), "it is read to its end");
    let refused = get(app.address, &format!("/authy/revocations?{few}y=1")).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "malformed_request"));
    let refused = get(app.address, &format!("/authy/revocations?x={}", "1".repeat(8 * 1024))).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "malformed_request"));
}

/// Adds events to a user.
async fn write_events(app: &TestApp, user: UserId, events: i32) {
    let sql = app.sql().await;
    let insert = "INSERT INTO authy.event (event_id, kind, actor, origin, subject, ip, user_agent, request_id, detail)
                  SELECT gen_random_uuid(), 'session.refreshed', NULL, 'anonymous', $1, '192.0.2.1', repeat('x', 200),
                         'a-request', '{\"generation\": 1}'
                  FROM generate_series(1, $2)";
    sql.execute(insert, &[user.as_uuid(), &events]).await.unwrap();
    sql.batch_execute("ANALYZE authy.event").await.unwrap();
}

/// Asks for the export of the owner of a token, and reads the first bytes of it.
async fn begin_export(address: SocketAddr, token: &Secret, bytes: usize) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /authy/user/export HTTP/1.1\r\nhost: x\r\nx-access-token: {}\r\n\r\n", token.expose());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).await.unwrap();
    (stream, read)
}

/// The memory of a process in KB: at its highest, and now.
fn memory(process: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let field = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
    };
    (field("VmHWM:"), field("VmRSS:"))
}

#[tokio::test]
async fn an_export_of_150_000_events_takes_no_more_memory_than_a_short_one() {
    const EVENTS: i32 = 150_000;
    let app = TestApp::with(|config, _| config.issuer = Some(SERVER_PROCESS_ISSUER.to_owned())).await;
    let user = app.user().await;
    write_events(&app, user.id, EVENTS).await;
    // In a process of its own, so that its memory can be measured.
    let server = SeparateServer::start(&app).await;
    let token = server.client.login(credentials(&user.username)).await.unwrap().token;
    let process = server.child.id().unwrap();
    let (_, before) = memory(process);
    let (mut stream, _) = begin_export(server.address, &token, 100).await;
    let (mut length, mut end, mut buffer) = (100, Vec::new(), vec![0; 64 * 1024]);
    let mut events = 0;
    while !end.ends_with(b"\r\n0\r\n\r\n") {
        let read = timeout(Duration::from_secs(60), stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "it broke off after {length} bytes");
        length += read;
        end.extend_from_slice(&buffer[..read]);
        events += end.windows(9).filter(|window| window == b"event_id\"").count();
        end.drain(..end.len().saturating_sub(8));
    }
    let (highest, _) = memory(process);
    assert!(length > 50_000_000 && events >= 150_000, "{length} bytes, {events} events");
    let growth = highest.saturating_sub(before);
    println!("{length} bytes, {growth} KB of memory");
    assert!(growth < 32 * 1024, "{growth} KB for {length} bytes");
}

#[tokio::test]
async fn one_export_of_a_user_is_under_way_at_a_time_and_one_that_fails_is_not_whole() {
    let app = TestApp::new().await;
    let (user, other) = (app.user().await, app.user().await);
    // More than the buffers of the connection hold.
    write_events(&app, user.id, 60_000).await;
    let (mut stream, start) = begin_export(app.address, &user.token, 2000).await;
    assert!(start.starts_with(b"HTTP/1.1 200 OK\r\n"));
    let get = |method: &str| format!("{method} /authy/user/export HTTP/1.1\nx-access-token: {}", user.token.expose());
    let second = send(app.address, &get("GET"), "").await;
    assert_eq!((second.status, second.code().as_str()), (429, "rate_limited"));
    assert!(!second.header("retry-after").is_empty());
    let head = send(app.address, &get("HEAD"), "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""), "what has no body takes no place");
    assert_eq!(head.header("content-type"), "application/json");
    assert!(other.client.export_self().await.is_ok(), "others are not in the way");

    app.sql().await.batch_execute("ALTER TABLE authy.event RENAME TO lost").await.unwrap();
    let mut rest = Vec::new();
    // Either the end comes without the last chunk, or the connection is reset.
    let _ = timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "an export that failed looks whole");
    app.sql().await.batch_execute("ALTER TABLE authy.lost RENAME TO event").await.unwrap();
    until("the place is free again", || async {
        let (_, start) = begin_export(app.address, &user.token, 12).await;
        start == b"HTTP/1.1 200"
    })
    .await;
}

#[tokio::test]
async fn a_refresh_that_is_repeated_writes_no_second_event() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let refresh = async || {
        let refresh_token = user.refresh_token.clone();
        app.anonymous().refresh(RefreshToken { refresh_token }).await.unwrap().refresh_token
    };
    let successor = refresh().await;
    for _ in 0..20 {
        assert_eq!(refresh().await.expose(), successor.expose());
    }
    let count = "SELECT count(*) FROM authy.event WHERE subject = $1 AND kind = 'session.refreshed'";
    let row = app.sql().await.query_one(count, &[user.id.as_uuid()]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn the_sessions_of_a_user_are_bounded_and_the_one_unused_for_longest_goes() {
    let app = TestApp::new().await;
    let oldest = app.user().await;
    let kept = app.again(&oldest).await;
    for _ in 0..98 {
        app.anonymous().login(credentials(&oldest.username)).await.unwrap();
    }
    let refresh_token = kept.refresh_token.clone();
    app.anonymous().refresh(RefreshToken { refresh_token }).await.unwrap();
    assert!(oldest.client.get_self().await.is_ok(), "a hundred are there");
    let last = app.again(&oldest).await;
    let ended = oldest.client.get_self().await.unwrap_err();
    assert_eq!(ended.kind(), Some(ErrorKind::InvalidToken), "its token is revoked at once");
    assert!(kept.client.get_self().await.is_ok() && last.client.get_self().await.is_ok());
    let query = "SELECT count(*) FROM authy.event
                 WHERE subject = $1 AND kind = 'session.ended' AND detail->>'reason' = 'too_many'";
    let sql = app.sql().await;
    assert_eq!(sql.query_one(query, &[oldest.id.as_uuid()]).await.unwrap().get::<_, i64>(0), 1);

    let logins = at_once(40, |_| {
        let (client, name) = (app.anonymous(), oldest.username.clone());
        async move { client.login(credentials(&name)).await }
    });
    assert!(logins.await.iter().all(Result::is_ok));
    let live = "SELECT count(*) FROM authy.session WHERE user_id = $1 AND ended_at IS NULL";
    let live = sql.query_one(live, &[oldest.id.as_uuid()]).await.unwrap().get::<_, i64>(0);
    assert!((100..=104).contains(&live), "{live} after 40 logins at once");
    assert!(last.client.list_sessions().await.unwrap().sessions.len() <= 104);
}

#[tokio::test]
async fn a_login_storm_from_one_network_refuses_the_storm_only() {
    let app = TestApp::with(|config, http| {
        http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        (config.hash.threads, config.hash.queue) = (1, 16);
        config.hash.argon2 = "m=32768,t=2,p=1".parse().unwrap();
    })
    .await;
    let user = app.user().await;
    let device = app.anonymous().login(credentials(&user.username)).await.unwrap().device_token.unwrap();
    let log_in = |name: String, address: String, device: Option<Secret>| {
        let device = device.map(|token| format!("\nx-device-token: {}", token.expose())).unwrap_or_default();
        let head =
            format!("POST /authy/login HTTP/1.1\ncontent-type: application/json\nx-forwarded-for: {address}{device}");
        let body = format!(r#"{{"username":"{name}","password":"{PASSWORD}"}}"#);
        let server = app.address;
        async move { send(server, &head, &body).await.status }
    };
    let mut storm = tokio::task::JoinSet::new();
    let flood = |storm: &mut tokio::task::JoinSet<u16>| {
        for number in 0..60 {
            storm.spawn(log_in(fresh_name("x"), format!("2001:db8:1:{number:x}::1"), None));
        }
    };
    flood(&mut storm);
    let mut refused = 0;
    for (address, device) in [("192.0.2.1", None), ("2001:db8:2::1", None), ("2001:db8:1::7", Some(device))] {
        // Not before the storm has filled its places.
        while let Some(status) = storm.join_next().await.map(Result::unwrap) {
            assert!([401, 503].contains(&status), "{status}");
            refused += u32::from(status == 503);
            if status == 503 {
                break;
            }
        }
        flood(&mut storm);
        let status = log_in(user.username.clone(), address.to_owned(), device).await;
        assert_eq!(status, 200, "{address}");
    }
    assert!(refused >= 3, "the storm was refused: {refused}");
    storm.shutdown().await;
}

/// A server in a process of its own, on the database of a [`TestApp`].
struct SeparateServer {
    child: Child,
    address: SocketAddr,
    client: Client,
    _folder: tempfile::TempDir,
    _stdin: ChildStdin,
}

impl SeparateServer {
    async fn start(app: &TestApp) -> Self {
        let [Host::Unix(folder)] = app.database.get_hosts() else { panic!("no socket") };
        let (user, database) = (app.database.get_user().unwrap(), app.database.get_dbname().unwrap());
        let database = format!("host={} user={user} dbname={database}", folder.display());
        let folder_of_record = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_authy-server-process"));
        command.arg(database).arg(folder_of_record.path().join("record")).args(["stream", "threaded"]);
        command.env("SERVER_PROCESS_MASTER_KEY", &**app.master_keys.to_base64()).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let line = BufReader::new(stdout).lines().next_line().await.unwrap().unwrap();
        let address: SocketAddr = line.strip_prefix("listening on ").unwrap().parse().unwrap();
        let client = Client::builder(&format!("http://{address}")).retries(0).build().unwrap();
        Self { child, address, client, _folder: folder_of_record, _stdin: stdin }
    }
}
