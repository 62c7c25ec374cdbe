//! An HTTP server that keeps the requests it received, and answers as the test says, or not at all.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A request as it was received.
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

/// How the receiver answers.
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

type ReactionFn = Arc<dyn Fn(&Received) -> Reaction + Send + Sync>;

/// An HTTP server that takes one request per connection.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<ReceiverState>,
    running: JoinHandle<()>,
}

struct ReceiverState {
    received: Mutex<Vec<Received>>,
    handler: Mutex<ReactionFn>,
}

impl Receiver {
    /// Starts one that answers by this handler.
    pub async fn start(handler: impl Fn(&Received) -> Reaction + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", 0)).await.unwrap(), handler)
    }

    /// Starts one on this listener.
    pub fn on(listener: TcpListener, handler: impl Fn(&Received) -> Reaction + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(ReceiverState { received: Mutex::default(), handler: Mutex::new(Arc::new(handler)) });
        let running = tokio::spawn(run(listener, state.clone()));
        Self { address, state, running }
    }

    /// Replaces the handler.
    pub fn react(&self, handler: impl Fn(&Received) -> Reaction + Send + Sync + 'static) {
        *self.state.handler.lock().unwrap() = Arc::new(handler);
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn run(listener: TcpListener, state: Arc<ReceiverState>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let state = state.clone();
        connections.spawn(async move {
            // An error means that the client has gone, which is no failure of the test.
            let _ = answer(stream, &state).await;
        });
    }
}

async fn answer(mut stream: TcpStream, state: &ReceiverState) -> std::io::Result<()> {
    let Some(request) = read(&mut stream).await? else { return Ok(()) };
    let handler = state.handler.lock().unwrap().clone();
    let reaction = handler(&request);
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
