//! A neighbour that is told by HTTP: it remembers what it got, and answers as it was told to, or not at all.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method and the path.
    pub line: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Received {
    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// How it answers.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Properly, with that status and no body.
    Status(u16),
    /// With these bytes, and then it closes.
    Bytes(Vec<u8>),
    /// With these bytes, and then with more of them for ever.
    Endless(Vec<u8>),
    /// Not at all, and it keeps the connection.
    Hang,
    /// Not at all: it closes.
    Close,
}

type Mind = Arc<dyn Fn(&Received) -> Reaction + Send + Sync>;

/// The neighbour. It takes one request a connection.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
    running: JoinHandle<()>,
}

struct State {
    received: Mutex<Vec<Received>>,
    mind: Mutex<Mind>,
}

impl Receiver {
    /// One that answers like that.
    pub async fn start(mind: impl Fn(&Received) -> Reaction + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", 0)).await.unwrap(), mind)
    }

    /// One that listens there.
    pub fn on(listener: TcpListener, mind: impl Fn(&Received) -> Reaction + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { received: Mutex::default(), mind: Mutex::new(Arc::new(mind)) });
        let running = tokio::spawn(run(listener, state.clone()));
        Self { address, state, running }
    }

    /// From now on it answers like that.
    pub fn react(&self, mind: impl Fn(&Received) -> Reaction + Send + Sync + 'static) {
        *self.state.mind.lock().unwrap() = Arc::new(mind);
    }

    /// What it got.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn run(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let state = state.clone();
        connections.spawn(async move {
            // Who is told of it has gone: nobody is interested.
            let _ = answer(stream, &state).await;
        });
    }
}

async fn answer(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let Some(request) = read(&mut stream).await? else { return Ok(()) };
    let mind = state.mind.lock().unwrap().clone();
    let reaction = mind(&request);
    state.received.lock().unwrap().push(request);
    match reaction {
        Reaction::Status(status) => {
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Reaction::Bytes(bytes) => stream.write_all(&bytes).await,
        Reaction::Endless(bytes) => loop {
            stream.write_all(&bytes).await?;
        },
        // Until the other side gives up.
        Reaction::Hang => stream.read(&mut [0; 1]).await.map(drop),
        Reaction::Close => Ok(()),
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Received>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let mut lines = head.split("\r\n").map(ToOwned::to_owned);
            let line = lines.next().unwrap_or_default();
            let headers = lines.filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            });
            let mut request = Received { line, headers: headers.collect(), body: String::new() };
            let length = request.header("content-length").parse().unwrap_or(0);
            if let Some(body) = bytes.get(end + 4..end + 4 + length) {
                request.body = String::from_utf8_lossy(body).into_owned();
                return Ok(Some(request));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}
