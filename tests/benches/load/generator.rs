//! The load: keep-alive connections, each asking again as soon as it was answered.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::Result;

/// What is asked.
#[derive(Clone)]
pub(crate) enum Load {
    /// The same bytes each time.
    Same(Vec<u8>),
    /// One of these after the other.
    InTurn(Arc<[Vec<u8>]>),
    /// A sign-up under a fresh name each time.
    SignUp,
}

impl Load {
    fn request(&self) -> Vec<u8> {
        match self {
            Self::Same(request) => request.clone(),
            Self::InTurn(requests) => {
                static NEXT: AtomicUsize = AtomicUsize::new(0);
                let next = NEXT.fetch_add(1, Ordering::Relaxed) % requests.len();
                requests.get(next).cloned().unwrap_or_default()
            }
            Self::SignUp => {
                static NEXT: AtomicU64 = AtomicU64::new(0);
                let name = format!("load-{}", NEXT.fetch_add(1, Ordering::Relaxed));
                let password = r#""tangerine-lighthouse-42""#;
                post(
                    "/authy/user",
                    &format!(
                        r#"{{"username":"{name}","email":"{name}@example.org","password":{password},"confirm_password":{password}}}"#
                    ),
                )
            }
        }
    }
}

/// A JSON body, as a request.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What came back, and when.
pub(crate) struct Measured {
    latencies: Histogram<u64>,
    elapsed: Duration,
    /// How many answers were no 2xx.
    pub(crate) others: u64,
    /// The last of those.
    pub(crate) last_other: String,
}

impl Measured {
    /// Successes a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The median in milliseconds.
    pub(crate) fn p50(&self) -> f64 {
        self.latencies.value_at_quantile(0.5) as f64 / 1e3
    }

    /// The 99th percentile in milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.latencies.value_at_quantile(0.99) as f64 / 1e3
    }
}

/// Sends requests over `connections` connections for `duration`, after a warm-up of a fifth of it.
pub(crate) async fn hammer(
    address: SocketAddr,
    load: &Load,
    connections: usize,
    duration: Duration,
) -> Result<Measured> {
    let begin = Instant::now() + duration / 5;
    let end = begin + duration;
    let tasks: Vec<_> =
        (0..connections).map(|_| tokio::spawn(one_connection(address, load.clone(), begin, end))).collect();
    let mut all = Measured { latencies: histogram()?, elapsed: duration, others: 0, last_other: String::new() };
    for task in tasks {
        let one = task.await??;
        all.latencies.add(&one.latencies)?;
        all.others += one.others;
        if one.others > 0 {
            all.last_other = one.last_other;
        }
    }
    Ok(all)
}

async fn one_connection(address: SocketAddr, load: Load, begin: Instant, end: Instant) -> Result<Measured> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut measured = Measured { latencies: histogram()?, elapsed: end - begin, others: 0, last_other: String::new() };
    let mut buffer = Vec::with_capacity(8192);
    loop {
        let request = load.request();
        let asked = Instant::now();
        if asked >= end {
            return Ok(measured);
        }
        stream.write_all(&request).await?;
        let success = answer(&mut stream, &mut buffer).await?;
        let answered = Instant::now();
        if asked < begin || answered > end {
            continue;
        }
        if success {
            measured.latencies.record((answered - asked).as_micros().try_into()?)?;
        } else {
            measured.others += 1;
            measured.last_other = String::from_utf8_lossy(&buffer).into_owned();
        }
    }
}

fn histogram() -> Result<Histogram<u64>> {
    // Microseconds up to a minute, three digits.
    Ok(Histogram::new_with_max(60_000_000, 3)?)
}

/// Reads one answer into the buffer; whether it is a success.
pub(crate) async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<bool> {
    buffer.clear();
    let head = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let length = body_length(buffer.get(..head).unwrap_or_default())?;
    while buffer.len() < head + length {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
    }
    Ok(buffer.get(9) == Some(&b'2'))
}

fn body_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?;
    let value = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse())
    });
    Ok(value.unwrap_or(Ok(0))?)
}
