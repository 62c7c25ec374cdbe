//! A network between two parties that can be cut or hang, in front of a TCP or a unix socket.

use std::{io, net::SocketAddr, path::PathBuf};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Where a link leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Endpoint {
    /// A TCP socket.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// What a link does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Open,
    /// Ends the connections there are, and every new one.
    Cut,
    /// Keeps the connections and passes nothing on, until it is open again.
    Hung,
}

#[derive(Clone, PartialEq)]
struct State {
    mode: Mode,
    endpoint: Option<Endpoint>,
}

/// A network between two parties.
pub struct Link {
    /// Where it listens.
    pub address: SocketAddr,
    state: watch::Sender<State>,
    running: JoinHandle<()>,
}

impl Link {
    /// A link that leads nowhere yet: it ends every connection.
    pub async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = watch::Sender::new(State { mode: Mode::Open, endpoint: None });
        let running = tokio::spawn(run(listener, state.subscribe()));
        Self { address, state, running }
    }

    /// Leads to this endpoint from now on. Connections to another one are ended.
    pub fn lead_to(&self, endpoint: Option<Endpoint>) {
        self.state.send_if_modified(|state| {
            let is_new = state.endpoint != endpoint;
            state.endpoint = endpoint;
            is_new
        });
    }

    /// Sets what it does with connections.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.running.abort();
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

async fn run(listener: TcpListener, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((incoming, _)) = listener.accept().await else { return };
        connections.spawn(connection(incoming, state.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(incoming: TcpStream, mut state: watch::Receiver<State>) {
    let Ok(State { mode, endpoint }) =
        state.wait_for(|state| state.mode != Mode::Hung).await.map(|state| state.clone())
    else {
        return;
    };
    let (Mode::Open, Some(endpoint)) = (mode, endpoint) else { return };
    let Ok(outgoing) = open(&endpoint).await else { return };
    let _ = incoming.set_nodelay(true);
    let (from_client, to_client) = split(incoming);
    let (from_server, to_server) = split(outgoing);
    let ends = |state: &State| state.mode == Mode::Cut || state.endpoint.as_ref() != Some(&endpoint);
    tokio::select! {
        _ = pass_on(from_client, to_server, state.clone()) => {}
        _ = pass_on(from_server, to_client, state.clone()) => {}
        _ = state.wait_for(ends) => {}
    }
}

async fn open(endpoint: &Endpoint) -> io::Result<Box<dyn Socket>> {
    match endpoint {
        Endpoint::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        Endpoint::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
    }
}

async fn pass_on(
    mut from: ReadHalf<impl Socket>,
    mut to: WriteHalf<impl Socket>,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // Also the end of a connection does not get through a network that hangs.
        if state.wait_for(|state| state.mode != Mode::Hung).await.is_err() || read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
