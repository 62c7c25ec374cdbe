//! Followers of revocations cannot be locked out: neither by a crowd, nor by clients that open a stream and never read
//! it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use authy_core::{Authenticator as _, ErrorKind, Secret};
use authy_server::StreamShare;
use authy_tests::{TestApp, until, until_within, wire::get};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

/// Opens a stream from an address of this machine, without reading anything. The smaller the buffer, the sooner it is
/// full.
async fn open(server: SocketAddr, from: [u8; 4], headers: &str, buffer: Option<u32>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    buffer.iter().for_each(|size| socket.set_recv_buffer_size(*size).unwrap());
    socket.bind((Ipv4Addr::from(from), 0).into()).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    let head = format!("GET /authy/revocations HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The status of the answer.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut start = [0; 12];
    timeout(Duration::from_secs(20), stream.read_exact(&mut start)).await.expect("no answer in time").unwrap();
    std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

/// A stream that was opened; `None` when there was no place.
async fn follow(server: SocketAddr, from: [u8; 4], headers: &str, buffer: Option<u32>) -> Option<TcpStream> {
    let mut stream = open(server, from, headers, buffer).await;
    match status(&mut stream).await {
        200 => Some(stream),
        503 => None,
        other => panic!("{other}"),
    }
}

fn token_header(token: &Secret) -> String {
    format!("x-access-token: {}\r\n", token.expose())
}

/// Reads until `count` events have arrived.
async fn read_events(stream: &mut TcpStream, count: usize) {
    let (mut text, mut buffer) = (String::new(), vec![0; 64 * 1024]);
    while text.matches("\nid: ").count() < count {
        let read = timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.expect("silence").unwrap();
        assert!(read > 0, "the stream ended");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
}

/// Whether the server has ended a connection, without reading it.
async fn is_ended(stream: &TcpStream) -> bool {
    let Ok(ready) = timeout(Duration::ZERO, stream.ready(tokio::io::Interest::ERROR)).await else { return false };
    ready.is_ok_and(|ready| ready.is_error())
}

#[tokio::test]
async fn a_crowd_that_never_reads_keeps_no_honest_follower_out() {
    let app = TestApp::with(|_, http| http.follower_networks = vec!["127.200.0.0/16".parse().unwrap()]).await;
    let user = app.user().await;
    let mut crowd = Vec::new();
    // Two addresses of each of 16 networks, each until it gets no more.
    for address in (0..32).map(|number| [127, 10, number / 2, number % 2 + 1]) {
        while let Some(stream) = follow(app.address, address, "", None).await {
            crowd.push(stream);
            assert!(crowd.len() <= 4096);
        }
    }
    // An anonymous crowd has its small share, and a false token counts as anonymous.
    assert_eq!(crowd.len(), 512);
    let forged = token_header(&Secret::new(format!("{}x", user.token.expose())));
    let conflicting = format!("{}authorization: Bearer x\r\n", token_header(&user.token));
    for headers in ["", &forged, &conflicting] {
        assert!(follow(app.address, [127, 20, 0, 1], headers, None).await.is_none(), "{headers}");
    }
    let bearer = format!("authorization: Bearer {}\r\n", user.token.expose());
    for (from, headers) in [
        ([127, 20, 0, 1], token_header(&user.token)),
        ([127, 10, 0, 1], bearer),
        ([127, 200, 3, 4], String::new()),
        ([127, 200, 3, 4], forged),
    ] {
        let mut named = follow(app.address, from, &headers, None).await.expect("a named follower gets in");
        read_events(&mut named, 3).await;
    }
    // So does a verifier whose client has a token.
    let anonymous = app.anonymous().verifier().start().await.unwrap_err();
    assert_eq!(anonymous.kind(), ErrorKind::Unavailable);
    let verifier = user.client.verifier().start().await.unwrap();
    assert_eq!(verifier.authenticate(user.token.expose()).await.unwrap().public_id, user.id);
}

#[tokio::test]
async fn a_crowd_from_a_few_networks_leaves_room_for_anonymous_followers_of_others() {
    let app = TestApp::new().await;
    let mut crowd = Vec::new();
    for address in (0..32).map(|number| [127, 10, number % 2, number + 1]) {
        while let Some(stream) = follow(app.address, address, "", None).await {
            crowd.push(stream);
            assert!(crowd.len() <= 4096);
        }
    }
    assert_eq!(crowd.len(), 2 * 64, "of each /24");
    let mut honest = follow(app.address, [127, 11, 0, 1], "", None).await.expect("another network has places left");
    read_events(&mut honest, 3).await;
}

#[tokio::test]
async fn a_user_has_a_small_part_of_the_places_for_tokens() {
    let app = TestApp::with(|_, http| {
        http.streams.token = StreamShare { places: 16, per_user: 8, per_client: 16, per_network: 16 };
        http.streams.anonymous.places = 0;
    })
    .await;
    let (greedy, other) = (app.user().await, app.user().await);
    let (greedy, other) = (token_header(&greedy.token), token_header(&other.token));
    let mut streams = Vec::new();
    while let Some(stream) = follow(app.address, [127, 10, 0, streams.len() as u8 + 1], &greedy, None).await {
        streams.push(stream);
    }
    assert_eq!(streams.len(), 8);
    assert!(follow(app.address, [127, 10, 0, 1], &other, None).await.is_some());
    streams.pop();
    until("the place of a stream that was closed is free", || async {
        follow(app.address, [127, 10, 0, 1], &greedy, None).await.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_never_read_is_closed_and_its_place_is_free() {
    let stall = Duration::from_secs(1);
    let app = TestApp::with(|_, http| {
        http.streams.stall = stall;
        http.streams.anonymous = StreamShare { places: 8, per_user: 8, per_client: 8, per_network: 8 };
    })
    .await;
    let begun = Instant::now();
    let mut reading = follow(app.address, [127, 11, 0, 1], "", Some(4096)).await.unwrap();
    let mut never = Vec::new();
    while let Some(stream) = follow(app.address, [127, 10, 0, 1], "", Some(4096)).await {
        never.push(stream);
    }
    assert_eq!(never.len(), 7);
    // The reader reads on all the while: only it has a stream in the end.
    let closed = async {
        for (number, stream) in never.iter().enumerate() {
            until_within(Duration::from_secs(60), "it is closed", || is_ended(stream)).await;
            println!("stream {number} was closed after {:?}", begun.elapsed());
        }
    };
    tokio::select! {
        () = closed => {}
        () = read_events(&mut reading, usize::MAX) => unreachable!(),
    }
    assert!(begun.elapsed() > stall);
    let mut again = Vec::new();
    until("the places are free", || async { follow(app.address, [127, 10, 0, 1], "", None).await.is_some() }).await;
    while let Some(stream) = follow(app.address, [127, 10, 0, 1], "", None).await {
        again.push(stream);
    }
    assert_eq!(again.len(), 7, "all but the reader's");
    read_events(&mut reading, 3).await;
}

#[tokio::test]
async fn a_follower_that_reads_slowly_gets_all_of_it() {
    const STALL: Duration = Duration::from_secs(2);
    let app = TestApp::with(|_, http| http.streams.stall = STALL).await;
    let insert = "INSERT INTO authy.revocation (session_id, until)
                  SELECT gen_random_uuid(), now() + interval '1 hour' FROM generate_series(1, 5000)";
    app.sql().await.batch_execute(insert).await.unwrap();
    until("all of them are known", || async {
        get(app.address, "/authy/revocations").await.body.matches("\"session\"").count() >= 5000
    })
    .await;
    let mut stream = follow(app.address, [127, 10, 0, 1], "", Some(16 * 1024)).await.unwrap();
    let (begun, mut length, mut end, mut buffer) = (Instant::now(), 0, Vec::new(), [0; 4096]);
    // 40 KB in a second.
    while !end.windows(5).any(|text| text == b"\nid: ") {
        let read = timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.expect("silence").unwrap();
        assert!(read > 0, "cut after {length} bytes");
        length += read;
        end.drain(..end.len().saturating_sub(4));
        end.extend_from_slice(&buffer[..read]);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() > 3 * STALL, "{:?} for {length} bytes", begun.elapsed());
    read_events(&mut stream, 1).await;
}

#[tokio::test]
async fn an_answer_that_is_never_read_is_given_up() {
    let app = TestApp::with(|_, http| http.write_timeout = Duration::from_secs(1)).await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let request = b"GET /authy/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    let begun = Instant::now();
    let broken = timeout(Duration::from_secs(30), async {
        // More answers than all buffers hold.
        loop {
            if let Err(error) = stream.write_all(request).await {
                return error;
            }
        }
    });
    let kind = broken.await.expect("the connection is still there").kind();
    assert!([io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe].contains(&kind), "{kind}");
    println!("given up after {:?}", begun.elapsed());
}
