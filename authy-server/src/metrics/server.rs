//! What the server counts beside requests.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use authy_core::api::RateClass;

/// The classes of rate limits, each with its name.
const LIMITED: [(RateClass, &str); 5] = [
    (RateClass::Login, "login"),
    (RateClass::Register, "register"),
    (RateClass::Validate, "validate"),
    (RateClass::Forgot, "forgot"),
    (RateClass::Default, "default"),
];

/// What a server counts beside requests.
#[derive(Debug, Default)]
pub(crate) struct ServerCounts {
    connections: AtomicUsize,
    limited: [AtomicU64; LIMITED.len()],
}

/// An open connection, which counts until this is dropped.
pub(crate) struct OpenConnection(Arc<ServerCounts>);

impl ServerCounts {
    /// Counts a connection until the result is dropped.
    pub(crate) fn open_connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    /// Counts a request that exceeds a rate limit.
    pub(crate) fn count_limited(&self, class: RateClass) {
        let index = LIMITED.iter().position(|(known, _)| *known == class);
        if let Some(count) = index.and_then(|index| self.limited.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that exceeded each limit.
    pub(super) fn limited(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LIMITED.iter().zip(&self.limited).map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
