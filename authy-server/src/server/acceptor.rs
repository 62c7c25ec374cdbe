//! Accepts connections.

use std::{future::pending, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    time::sleep,
};

use super::{
    listeners::Listeners,
    places::{self, Places},
};
use crate::listener::Listener;

/// Maximum number of connections to the admin listeners: administrators, monitoring and load balancers. They are among
/// the descriptors that the other listener leaves.
const ADMIN_CONNECTIONS: usize = 128;

/// The listeners of a server.
pub(super) struct Acceptors {
    main: Acceptor,
    admin: Option<Acceptor>,
}

/// Listeners of one kind, and the places of their connections.
struct Acceptor {
    tcp: Listeners,
    listener: Listener,
    places: Arc<Places>,
}

/// A new connection.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) listener: Listener,
    /// Free again when this is dropped.
    pub(super) place: Option<OwnedSemaphorePermit>,
    pub(super) places: Arc<Places>,
}

impl Acceptors {
    pub(super) fn new(main: Vec<TcpListener>, admin: Vec<TcpListener>, max: Option<usize>) -> Self {
        let max = max.unwrap_or_else(places::permitted_by_descriptors);
        let listener = if admin.is_empty() { Listener::Sole } else { Listener::Public };
        Self {
            main: Acceptor::new(main, listener, max),
            admin: (!admin.is_empty()).then(|| Acceptor::new(admin, Listener::Admin, ADMIN_CONNECTIONS)),
        }
    }

    /// Returns the next connection, once there is a place for it.
    pub(super) async fn accept(&self) -> Accepted {
        let admin = async {
            match &self.admin {
                Some(admin) => admin.accept().await,
                None => pending().await,
            }
        };
        tokio::select! {
            accepted = self.main.accept() => accepted,
            accepted = admin => accepted,
        }
    }
}

impl Acceptor {
    fn new(tcp: Vec<TcpListener>, listener: Listener, max: usize) -> Self {
        Self { tcp: Listeners::new(tcp), listener, places: Arc::new(Places::new(max)) }
    }

    async fn accept(&self) -> Accepted {
        let place = self.places.take().await;
        loop {
            match self.tcp.accept().await {
                Ok((stream, peer)) => {
                    return Accepted { stream, peer, listener: self.listener, place, places: self.places.clone() };
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }
}

/// Waits after an error of `accept`, unless only one connection failed. When the process has no file descriptor left,
/// accepting again at once would fail again.
async fn pause_after(error: &io::Error) {
    let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "cannot accept a connection");
        sleep(Duration::from_millis(100)).await;
    }
}
