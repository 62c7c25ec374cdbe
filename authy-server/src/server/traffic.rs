//! What the parts of a connection tell each other and hyper does not pass on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The state of one connection.
#[derive(Clone, Default)]
pub(super) struct Traffic(Arc<Flags>);

#[derive(Default)]
struct Flags {
    has_arrived: AtomicBool,
    is_blocked: AtomicBool,
    is_idle: AtomicBool,
    is_event_stream: AtomicBool,
}

impl Traffic {
    /// Records that bytes have arrived, or forgets it when the wait for a head begins.
    pub(super) fn set_arrived(&self, has_arrived: bool) {
        self.0.has_arrived.store(has_arrived, Relaxed);
    }

    /// Returns whether bytes have arrived since the connection began to wait for a head.
    pub(super) fn has_arrived(&self) -> bool {
        self.0.has_arrived.load(Relaxed)
    }

    /// Records whether the client takes what is written to it.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.0.is_blocked.store(is_blocked, Relaxed);
    }

    /// Returns whether something waits to be written.
    pub(super) fn is_blocked(&self) -> bool {
        self.0.is_blocked.load(Relaxed)
    }

    /// Records whether the connection has waited for a head for some time, without a byte of it.
    pub(super) fn set_idle(&self, is_idle: bool) {
        self.0.is_idle.store(is_idle, Relaxed);
    }

    /// Returns whether the connection has waited so.
    pub(super) fn is_idle(&self) -> bool {
        self.0.is_idle.load(Relaxed)
    }

    /// Records that the connection carries an event stream from now on, which changes how it is written to.
    pub(super) fn begin_event_stream(&self) {
        self.0.is_event_stream.store(true, Relaxed);
    }

    /// Returns whether the connection carries an event stream.
    pub(super) fn is_event_stream(&self) -> bool {
        self.0.is_event_stream.load(Relaxed)
    }
}
