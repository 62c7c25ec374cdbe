//! Several listeners that are accepted from as one.

use std::{future::poll_fn, io, net::SocketAddr, task::Poll};

use tokio::net::{TcpListener, TcpStream};

/// The listeners of a server.
pub(super) struct Listeners {
    all: Vec<TcpListener>,
    /// The one that is asked first, so that none waits for the others.
    first: usize,
}

impl Listeners {
    pub(super) fn new(all: Vec<TcpListener>) -> Self {
        Self { all, first: 0 }
    }

    /// Accepts a connection of any listener. Dropping the future loses no connection.
    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| {
            let count = self.all.len();
            let in_turn = self.all.iter().enumerate().cycle().skip(self.first).take(count);
            for (index, listener) in in_turn {
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    self.first = (index + 1) % count;
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}
