//! Tells every connection that the server stops, and waits until all have ended.

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    task::{Poll, Waker, ready},
};

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

    /// Drives a connection until it is closed, or is idle: then nothing is returned. It accepts no further request once the server ends
    /// its connections.
    pub(super) async fn watch<C: GracefulConnection>(
        &mut self,
        mut connection: Pin<&mut C>,
        is_idle: impl Fn() -> bool,
    ) -> Option<Result<(), C::Error>> {
        let watched = {
            let signal = self.0.clone();
            let mut begun = pin!(self.begun());
            let mut registered = None::<Waker>;
            poll_fn(|cx| {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(Watched::Ended(ended));
                }
                if is_idle() {
                    return Poll::Ready(Watched::Idle);
                }
                // Polled with each new waker, of which a task has one, and when there is something to learn: each time takes a lock
                // that all connections share.
                let is_registered = registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
                if !is_registered || signal.has_changed().unwrap_or(true) {
                    registered = Some(cx.waker().clone());
                    ready!(begun.as_mut().poll(cx));
                    return Poll::Ready(Watched::ToEnd);
                }
                Poll::Pending
            })
            .await
        };
        match watched {
            Watched::Ended(ended) => Some(ended),
            Watched::Idle => None,
            Watched::ToEnd => {
                connection.as_mut().graceful_shutdown();
                Some(connection.await)
            }
        }
    }
}

/// Why a connection is driven no further.
enum Watched<E> {
    Ended(Result<(), E>),
    Idle,
    /// The server ends its connections.
    ToEnd,
}
