//! The resident memory of the server, in MB, without its database: `cargo bench -p authy-tests --bench memory`.
//!
//! After a start, after the first sign-ups, during and after a storm of logins, with 10,000 open connections, and with 1,000 streams of
//! revocations. The pages of the program itself are counted; those that the kernel uses for connections are not. `MEMORY_ONLY` picks
//! one part by its name: `storm`, `connections`, `streams`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{env, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::sleep,
};

#[allow(dead_code, reason = "the other benchmark needs the rest")]
#[path = "../load/generator.rs"]
mod generator;
#[allow(dead_code, reason = "the other benchmark needs the rest")]
#[path = "../load/servers.rs"]
mod servers;

use generator::{answer, hammer};
use servers::AuthyServer;

// As the program has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const CONNECTIONS: usize = 10_000;
const STREAMS: usize = 1_000;

/// How long the storm takes, and how long the server is left alone after it, and before connections and streams are counted.
const STORM: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(60);

fn main() -> Result {
    // The server is this program again, so that it is built as it is and its memory is its own.
    if let Some(role) = env::var_os("LOAD_ROLE") {
        return servers::run(&role);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result {
    let only = env::var("MEMORY_ONLY").ok();
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name == only);
    let authy = AuthyServer::start_empty().await?;
    println!("{:<54}{:>8}{:>8}{:>8}", "", "all MB", "heap", "program");
    let print = |what: &str| -> Result {
        let memory = authy.memory()?;
        println!(
            "{what:<54}{:>8.1}{:>8.1}{:>8.1}",
            memory.resident,
            memory.anonymous,
            memory.resident - memory.anonymous
        );
        Ok(())
    };
    print("started")?;
    sleep(Duration::from_secs(5)).await;
    print("5 s later")?;
    authy.sign_up().await?;
    print("after 256 sign-ups")?;
    let token = authy.token().await?;
    if wanted("storm") {
        let storm = hammer(authy.address, &authy.logins(), 64, STORM).await?;
        print(&format!("in a storm of {:.0} logins a second", storm.rate()))?;
        sleep(REST).await;
        print(&format!("{} s after it", REST.as_secs()))?;
    }
    if wanted("connections") {
        sleep(REST).await;
        let before = authy.memory()?.resident;
        let request =
            format!("GET /authy/checkaccess/10 HTTP/1.1\r\nhost: localhost\r\nx-access-token: {token}\r\n\r\n");
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(authy.address).await?;
            stream.write_all(request.as_bytes()).await?;
            assert!(answer(&mut stream, &mut Vec::new()).await?, "a check failed");
            open.push(stream);
        }
        print(&format!("{CONNECTIONS} open connections, each had a check"))?;
        sleep(Duration::from_secs(5)).await;
        print("5 s later, all of them idle")?;
        println!("  {:.1} KB each", (authy.memory()?.resident - before) * 1024.0 / CONNECTIONS as f64);
        drop(open);
        sleep(Duration::from_secs(5)).await;
        print("5 s after they were closed")?;
    }
    if wanted("streams") {
        sleep(REST).await;
        let before = authy.memory()?.resident;
        let request = "GET /authy/revocations HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
        let mut open = Vec::new();
        for number in 0..STREAMS {
            // Of several followers: one address has a part of the places.
            let socket = TcpSocket::new_v4()?;
            socket.bind(([127, 0, 0, u8::try_from(2 + number % 8)?], 0).into())?;
            let mut stream = socket.connect(authy.address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut status = [0; 12];
            stream.read_exact(&mut status).await?;
            assert!(status.ends_with(b"200"), "a stream was refused");
            open.push(stream);
        }
        sleep(Duration::from_secs(5)).await;
        print(&format!("{STREAMS} streams"))?;
        println!("  {:.1} KB each", (authy.memory()?.resident - before) * 1024.0 / STREAMS as f64);
    }
    Ok(())
}
