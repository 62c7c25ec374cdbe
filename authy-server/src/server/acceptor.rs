//! Accepts connections.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    time::sleep,
};

use super::places::Places;

/// A listener, and the places of its connections.
pub(super) struct Acceptor {
    listener: TcpListener,
    places: Arc<Places>,
}

/// A new connection.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Free again when this is dropped.
    pub(super) place: Option<OwnedSemaphorePermit>,
    pub(super) places: Arc<Places>,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, max: usize) -> Self {
        Self { listener, places: Arc::new(Places::new(max)) }
    }

    /// Returns the next connection, once there is a place for it.
    pub(super) async fn accept(&self) -> Accepted {
        let place = self.places.take().await;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return Accepted { stream, peer, place, places: self.places.clone() },
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
