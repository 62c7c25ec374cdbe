//! Streams of revocations that are never read, and whether an honest follower finds a place.

use std::time::{Duration, Instant};

use authy_client::Client;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::server::{BenchServer, fresh_address};

/// As many as there may be, and from how many addresses.
const STREAMS: usize = 4096;
const ADDRESSES: usize = 32;

/// Number of sessions that end while they are open: each is a revocation in every stream.
const LOGOUTS: usize = 50;

/// How long the streams are left idle.
const IDLE: Duration = Duration::from_secs(15);

pub(crate) async fn measure(server: &BenchServer) {
    let account = server.account("user").await;
    println!("\n{STREAMS} idle streams of revocations from {ADDRESSES} addresses that never read:");
    follow(server, "before").await;
    let before = server.used();
    let begun = Instant::now();
    let (mut streams, mut refused) = (Vec::new(), 0);
    for number in 0..STREAMS {
        match open(server, &format!("198.18.{}.1", number % ADDRESSES)).await {
            Some(stream) => streams.push(stream),
            None => refused += 1,
        }
    }
    let opened = server.used();
    let growth = opened.resident - before.resident;
    println!(
        "  {} open and {refused} refused after {:.1} s: +{growth:.1} MB, {:.1} KB a stream",
        streams.len(),
        begun.elapsed().as_secs_f64(),
        growth * 1024.0 / streams.len().max(1) as f64
    );
    follow(server, "with them open").await;
    let client = Client::builder(&format!("http://{}", server.address)).build().unwrap();
    let (idle_from, cpu) = (Instant::now(), server.used().cpu);
    for _ in 0..LOGOUTS {
        // A session of its own ends each time, made where no limit of an address counts.
        let token = server.session(&account).await;
        client.with_token(token).logout().await.unwrap();
    }
    tokio::time::sleep(IDLE.saturating_sub(idle_from.elapsed())).await;
    let after = server.used();
    let closed = count_closed(&mut streams);
    println!(
        "  {:.0} s and {LOGOUTS} logouts later: +{:.1} MB, {:.0} ms CPU a second, {closed} closed by the server",
        idle_from.elapsed().as_secs_f64(),
        after.resident - before.resident,
        after.cpu.saturating_sub(cpu).as_secs_f64() * 1e3 / idle_from.elapsed().as_secs_f64(),
    );
    follow(server, "then").await;
    drop(streams);
    let deadline = Instant::now() + Duration::from_secs(20);
    while follow_once(server).await != 200 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    follow(server, "once they are gone").await;
}

/// Asks for a stream and reads its head; none when it is refused.
async fn open(server: &BenchServer, from: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "GET /authy/revocations HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nx-forwarded-for: {from}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    status.ends_with(b"200").then_some(stream)
}

/// What an honest follower sees, from an address of its own.
async fn follow(server: &BenchServer, when: &str) {
    let asked = Instant::now();
    let status = follow_once(server).await;
    println!("  an honest follower {when}: {status} after {:.1} ms", asked.elapsed().as_secs_f64() * 1e3);
}

/// The status, once the first event has come.
async fn follow_once(server: &BenchServer) -> u16 {
    let mut connection = server.connect().await;
    let request = Request::get("/authy/revocations").header("host", "localhost").header("accept", "text/event-stream");
    let request = request.header("x-forwarded-for", fresh_address()).body(Full::default()).unwrap();
    let answered = timeout(Duration::from_secs(10), async {
        let mut response = connection.send(request).await;
        response.body_mut().frame().await;
        response.status().as_u16()
    });
    answered.await.unwrap_or(0)
}

/// How many of them the server has closed: what is left to read of those ends.
fn count_closed(streams: &mut [TcpStream]) -> usize {
    let mut scrap = vec![0; 64 * 1024];
    let mut is_closed = |stream: &mut TcpStream| loop {
        match stream.try_read(&mut scrap) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    };
    streams.iter_mut().map(|stream| usize::from(is_closed(stream))).sum()
}
