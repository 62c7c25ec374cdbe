//! Whether writes succeed, as the writes of this process have shown.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{Error, ErrorKind};

/// Since when writes have failed without a success. A success costs one read of an atomic number.
pub(in crate::engine) struct WriteState {
    begun: Instant,
    /// Milliseconds from `begun` to the first failure since the last success, plus one; 0 when there is none.
    failing_since: AtomicU64,
    /// When the last probe ended. Locked while one is under way.
    probed: Arc<Mutex<Option<Instant>>>,
}

/// The right to probe, which one task has at a time.
pub(in crate::engine) struct Probe(OwnedMutexGuard<Option<Instant>>);

impl WriteState {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), failing_since: AtomicU64::new(0), probed: Arc::default() }
    }

    /// Notes that a transaction was committed.
    pub(in crate::engine) fn succeeded(&self) {
        if self.failing_since.load(Ordering::Relaxed) != 0 {
            self.failing_since.store(0, Ordering::Relaxed);
        }
    }

    /// Notes the error of a write, when it shows that the database, or a connection to it, is not available.
    pub(in crate::engine) fn failed(&self, error: &Error) {
        if error.kind() == ErrorKind::Unavailable {
            let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
            let _ = self.failing_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Returns how long writes have failed without a success; `None` when the last one succeeded.
    pub(in crate::engine) fn failing_for(&self) -> Option<Duration> {
        let since = self.failing_since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_millis(since)))
    }

    /// Returns the right to probe; `None` while a probe is under way, and for a time after one.
    pub(in crate::engine) fn begin_probe(&self, interval: Duration) -> Option<Probe> {
        let probed = self.probed.clone().try_lock_owned().ok()?;
        probed.is_none_or(|ended| ended.elapsed() >= interval).then(|| Probe(probed))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        *self.0 = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_until_a_success_and_one_probe_is_under_way() {
        let state = WriteState::new();
        state.failed(&Error::new(ErrorKind::NotFound, "the database has answered"));
        assert_eq!(state.failing_for(), None);
        state.failed(&Error::new(ErrorKind::Unavailable, "it has not"));
        let first = state.failing_for().unwrap();
        std::thread::sleep(Duration::from_millis(2));
        state.failed(&Error::new(ErrorKind::Unavailable, "again"));
        assert!(state.failing_for().unwrap() > first, "it counts from the first");
        let probe = state.begin_probe(Duration::ZERO).unwrap();
        assert!(state.begin_probe(Duration::ZERO).is_none(), "one is under way");
        drop(probe);
        assert!(state.begin_probe(Duration::from_secs(60)).is_none(), "one has just ended");
        std::thread::sleep(Duration::from_millis(30));
        assert!(state.begin_probe(Duration::from_secs(60)).is_none());
        assert!(state.begin_probe(Duration::from_millis(20)).is_some(), "to ask for one too early postpones none");
        state.succeeded();
        assert_eq!(state.failing_for(), None);
    }
}
