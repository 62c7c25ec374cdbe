//! Several listeners that are accepted from as one.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
};

use tokio::net::{TcpListener, TcpStream};

/// The listeners of a server.
pub(super) struct Listeners {
    all: Vec<TcpListener>,
    /// The one that is asked first, so that none waits for the others.
    first: AtomicUsize,
}

impl Listeners {
    pub(super) fn new(all: Vec<TcpListener>) -> Self {
        Self { all, first: AtomicUsize::new(0) }
    }

    /// Accepts a connection of any listener. Dropping the future loses no connection.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| {
            let (count, first) = (self.all.len(), self.first.load(Ordering::Relaxed));
            let in_turn = self.all.iter().enumerate().cycle().skip(first).take(count);
            for (index, listener) in in_turn {
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    self.first.store((index + 1) % count, Ordering::Relaxed);
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}
