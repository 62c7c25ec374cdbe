//! The places of connections: how many may be open at a time.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// File descriptors that the connections of clients leave to the database, the sinks and the admin listener. Of a limit
/// of fewer than 1024 it is a quarter.
const RESERVED_DESCRIPTORS: u64 = 256;

/// Minimum time between two messages about places that have run out.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The places of the connections of one listener.
pub(super) struct Places {
    free: Arc<Semaphore>,
    max: usize,
    is_full: AtomicBool,
    warned: Mutex<Option<Instant>>,
}

impl Places {
    /// Creates this many places.
    pub(super) fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        let (is_full, warned) = (AtomicBool::new(false), Mutex::new(None));
        Self { free: Arc::new(Semaphore::new(max)), max, is_full, warned }
    }

    /// Takes a place, once there is one. It is free again when the result is dropped.
    ///
    /// Who waits does not accept: clients stay in the queue of the kernel, where they cost no descriptor. Accepting and
    /// closing them would turn a wait into an error.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            self.is_full.store(false, Ordering::Relaxed);
            return Some(place);
        }
        self.is_full.store(true, Ordering::Relaxed);
        self.warn();
        let place = self.free.clone().acquire_owned().await.ok();
        self.is_full.store(false, Ordering::Relaxed);
        place
    }

    /// Returns whether new connections wait for a place. Meanwhile no connection is kept for a next request.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    fn warn(&self) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|when| when.elapsed() >= WARN_EVERY) {
            *warned = Some(Instant::now());
            tracing::warn!(
                max = self.max,
                "the maximum number of connections is open: new ones wait until others end (AUTHY_MAX_CONNECTIONS)"
            );
        }
    }
}

/// Returns the number of connections that the limit of open files of this process permits.
pub(super) fn permitted_by_descriptors() -> usize {
    let permitted = getrlimit(Resource::Nofile).current.map(without_reserve);
    permitted.and_then(|number| usize::try_from(number).ok()).unwrap_or(Semaphore::MAX_PERMITS)
}

fn without_reserve(descriptors: u64) -> u64 {
    descriptors - RESERVED_DESCRIPTORS.min(descriptors / 4)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn some_descriptors_are_left_to_the_database() {
        assert_eq!([1024, 256, 1_048_576].map(without_reserve), [768, 192, 1_048_320]);
        assert!(permitted_by_descriptors() > 0);
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_for_one_that_is_left() {
        let places = Places::new(2);
        let taken = [places.take().await, places.take().await];
        assert!(!places.is_full(), "nobody waits");
        let waiting = places.take();
        let mut waiting = std::pin::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none() && places.is_full());
        drop(taken);
        assert!(waiting.await.is_some() && !places.is_full());
    }
}
