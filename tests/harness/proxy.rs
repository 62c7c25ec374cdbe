//! A network that can be cut: connections go through here, until they do not.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Passes connections on to a server.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    target: Arc<watch::Sender<Option<SocketAddr>>>,
    running: JoinHandle<()>,
}

impl Proxy {
    /// A way to a server.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(watch::Sender::new(Some(server)));
        let running = tokio::spawn(run(listener, target.clone()));
        Self { address, target, running }
    }

    /// The server's base URL, by this way.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends every connection, and takes no more.
    pub fn cut(&self) {
        self.target.send_replace(None);
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

async fn run(listener: TcpListener, target: Arc<watch::Sender<Option<SocketAddr>>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut incoming, _)) = listener.accept().await else { return };
        let mut changed = target.subscribe();
        connections.spawn(async move {
            let Some(server) = *changed.borrow_and_update() else { return };
            let Ok(mut outgoing) = TcpStream::connect(server).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut incoming, &mut outgoing) => {}
                _ = changed.changed() => {}
            }
        });
    }
}
