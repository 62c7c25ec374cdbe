//! The order in which this process reads counts and counts failures.
//!
//! A login reads its counts together with the account, before it has a permit to run. A failure that this process has
//! counted since then may be missing in what it read, so it reads again. Otherwise, of a crowd that has read that
//! nothing is on record, each would go unreserved.

use std::{
    array,
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Number of groups of targets. Two targets of one group cost each other a read, and nothing else.
const GROUPS: usize = 1024;

/// A time of this clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick(u64);

pub(super) struct FailureClock {
    now: AtomicU64,
    last: [AtomicU64; GROUPS],
    hasher: RandomState,
    has_uncounted: AtomicBool,
}

impl Default for FailureClock {
    fn default() -> Self {
        let last = array::from_fn(|_| AtomicU64::new(0));
        Self { now: AtomicU64::new(0), last, hasher: RandomState::new(), has_uncounted: AtomicBool::new(false) }
    }
}

impl FailureClock {
    /// Returns the time. Called before a read begins.
    pub(super) fn now(&self) -> Tick {
        Tick(self.now.load(Ordering::SeqCst))
    }

    /// Notes that a failure could not be counted.
    pub(super) fn note_uncounted(&self) {
        self.has_uncounted.store(true, Ordering::SeqCst);
    }

    /// Returns whether a failure could not be counted, and none has been since.
    pub(super) fn has_uncounted(&self) -> bool {
        self.has_uncounted.load(Ordering::SeqCst)
    }

    /// Notes a failure at a target. Called after its commit, and before the attempt lets another one run.
    pub(super) fn note(&self, key: &str) {
        self.has_uncounted.store(false, Ordering::SeqCst);
        let time = self.now.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        if let Some(last) = self.last.get(self.group(key)) {
            last.fetch_max(time, Ordering::SeqCst);
        }
    }

    /// Returns whether a read that began at this time may have missed a failure.
    pub(super) fn has_failed_since(&self, key: &str, time: Tick) -> bool {
        self.last.get(self.group(key)).is_none_or(|last| last.load(Ordering::SeqCst) > time.0)
    }

    fn group(&self, key: &str) -> usize {
        usize::try_from(self.hasher.hash_one(key) % GROUPS as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_began_before_a_failure_was_counted_is_repeated_and_a_later_one_is_not() {
        let clock = FailureClock::default();
        let before = clock.now();
        assert!(!clock.has_failed_since("one", before));
        clock.note("one");
        assert!(clock.has_failed_since("one", before));
        assert!(!clock.has_failed_since("one", clock.now()));
        // Failures elsewhere cost nothing, or a read when the group is the same.
        let others = (0..100).filter(|number| clock.has_failed_since(&number.to_string(), before)).count();
        assert!(others < 10, "{others}");
    }
}
