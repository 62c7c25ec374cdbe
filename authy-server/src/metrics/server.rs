//! What the server counts beside requests.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
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
    /// When the TLS certificate expires, in seconds since 1970.
    tls_expiry: OnceLock<Arc<AtomicI64>>,
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

    /// Adds the expiry of the TLS certificate in use, in seconds since 1970.
    #[cfg(feature = "tls")]
    pub(crate) fn set_tls_expiry(&self, expiry: Arc<AtomicI64>) {
        // Another server on the same service has another certificate: the first counts.
        let _ = self.tls_expiry.set(expiry);
    }

    /// Returns when the TLS certificate expires.
    pub(super) fn tls_expiry(&self) -> Option<SystemTime> {
        let seconds = u64::try_from(self.tls_expiry.get()?.load(Ordering::Relaxed)).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
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
