//! A network that can be cut: connections go through here, until they do not.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// Passes connections on to a server.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    target: Arc<watch::Sender<Option<SocketAddr>>>,
    pace: watch::Sender<Duration>,
    loses_next: Arc<AtomicBool>,
    running: JoinHandle<()>,
}

impl Proxy {
    /// A way to a server.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(watch::Sender::new(Some(server)));
        let pace = watch::Sender::new(Duration::ZERO);
        let loses_next = Arc::new(AtomicBool::new(false));
        let running = tokio::spawn(run(listener, target.clone(), pace.subscribe(), loses_next.clone()));
        Self { address, target, pace, loses_next, running }
    }

    /// The server's base URL, by this way.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends every connection, and takes no more.
    pub fn cut(&self) {
        self.target.send_replace(None);
    }

    /// From now on lets one event of an event stream through in that time, and everything else as before.
    pub fn slow_down(&self, one_event_in: Duration) {
        self.pace.send_replace(one_event_in);
    }

    /// Ends the connection on which the server answers next, instead of passing the answer on.
    pub fn lose_next_answer(&self) {
        self.loses_next.store(true, Ordering::Relaxed);
    }

    /// Returns whether an answer was lost since [`lose_next_answer`](Self::lose_next_answer).
    pub fn has_lost_answer(&self) -> bool {
        !self.loses_next.load(Ordering::Relaxed)
    }

    /// Leads to a server again, the same or another.
    pub fn mend(&self, server: SocketAddr) {
        self.target.send_replace(Some(server));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn run(
    listener: TcpListener,
    target: Arc<watch::Sender<Option<SocketAddr>>>,
    pace: watch::Receiver<Duration>,
    loses_next: Arc<AtomicBool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((incoming, _)) = listener.accept().await else { return };
        let (mut changed, pace, loses_next) = (target.subscribe(), pace.clone(), loses_next.clone());
        connections.spawn(async move {
            let Some(server) = *changed.borrow_and_update() else { return };
            let Ok(outgoing) = TcpStream::connect(server).await else { return };
            let (mut from_client, to_client) = incoming.into_split();
            let (from_server, mut to_server) = outgoing.into_split();
            tokio::select! {
                _ = copy(&mut from_client, &mut to_server) => {}
                _ = answer(from_server, to_client, pace, &loses_next) => {}
                _ = changed.changed() => {}
            }
        });
    }
}

/// Passes on what a server sends: an event stream as slowly as it is said, whatever else at once.
async fn answer(
    mut from_server: OwnedReadHalf,
    mut to_client: OwnedWriteHalf,
    pace: watch::Receiver<Duration>,
    loses_next: &AtomicBool,
) -> io::Result<()> {
    // The end of an event, and of the chunk that it is sent in.
    const END: &[u8] = b"\n\n\r\n";
    let (mut held, mut is_stream) = (Vec::new(), false);
    loop {
        let end = held.windows(END.len()).position(|window| window == END).map(|at| at + END.len());
        if is_stream && let Some(end) = end {
            to_client.write_all(&held[..end]).await?;
            held.drain(..end);
            let wait = *pace.borrow();
            sleep(wait).await;
            continue;
        }
        if from_server.read_buf(&mut held).await? == 0 {
            return to_client.write_all(&held).await;
        }
        if loses_next.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        is_stream |= held.windows(17).any(|window| window == b"text/event-stream");
        if !is_stream {
            to_client.write_all(&held).await?;
            held.clear();
        }
    }
}
