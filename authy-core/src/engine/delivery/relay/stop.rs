//! The request to end a relay.

use tokio::sync::watch;

/// Tells the relays of an instance to end. They end at once when it is dropped.
pub(in crate::engine) struct StopRelays(watch::Sender<bool>);

/// Whether a relay is to end.
#[derive(Clone)]
pub(in crate::engine) struct Stop(watch::Receiver<bool>);

impl StopRelays {
    pub(in crate::engine) fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    pub(in crate::engine) fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    pub(super) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the relay is to end.
    pub(super) async fn requested(&self) {
        // An error: the sender is gone, and with it who could request it.
        drop(self.0.clone().wait_for(|is_requested| *is_requested).await);
    }

    /// Returns the result of the work; `None` when the relay is to end before.
    pub(super) async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.requested() => None,
            done = work => Some(done),
        }
    }
}
