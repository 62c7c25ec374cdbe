//! Tells every connection that the server stops, and waits until all have ended.

use std::pin::pin;

use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::watch;

/// The end of all connections of a server.
pub(super) struct Shutdown(watch::Sender<bool>);

/// One connection's knowledge of it. The server waits until this is dropped.
pub(super) struct ShutdownSignal(watch::Receiver<bool>);

impl Shutdown {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Returns the signal for a new connection.
    pub(super) fn signal(&self) -> ShutdownSignal {
        ShutdownSignal(self.0.subscribe())
    }

    /// Begins to end all connections, and returns when none is left.
    pub(super) async fn end(self) {
        self.0.send_replace(true);
        self.0.closed().await;
    }
}

impl ShutdownSignal {
    /// Returns when the server ends its connections.
    pub(super) async fn begun(&mut self) {
        // Without a sender, the server has ended already.
        let _ = self.0.wait_for(|begun| *begun).await;
    }

    /// Drives a connection until it is closed. It accepts no further request once the server ends its connections.
    pub(super) async fn watch<C: GracefulConnection>(mut self, connection: C) -> Result<(), C::Error> {
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.begun() => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    }
}
