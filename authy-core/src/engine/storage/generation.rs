//! Generations of connections. When a connection leads to a server that is no longer the primary, all connections of
//! its generation are left: they may lead to the same server, which may live on and answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio_postgres::error::SqlState;

use crate::Error;

/// Counts the generations of the connections to a database.
#[derive(Clone)]
pub(in crate::engine) struct Generations(Arc<Counter>);

struct Counter {
    begun: Instant,
    // When the present generation began, in nanoseconds after `begun`.
    present: AtomicU64,
}

/// A generation: a connection that was opened in an earlier one must not be used.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(in crate::engine) struct Generation(u64);

impl Generations {
    pub(in crate::engine) fn new() -> Self {
        Self(Arc::new(Counter { begun: Instant::now(), present: AtomicU64::new(0) }))
    }

    /// Returns the present generation.
    pub(in crate::engine) fn present(&self) -> Generation {
        Generation(self.0.present.load(Ordering::Acquire))
    }

    /// Begins the next generation, unless `generation` is already past: of many connections that end at once, only the
    /// first one counts.
    pub(in crate::engine) fn leave(&self, generation: Generation) {
        let next = self.nanoseconds(Instant::now()).max(generation.0 + 1);
        let _ = self.0.present.compare_exchange(generation.0, next, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Returns whether something that was opened at this time is of the present generation.
    pub(in crate::engine) fn is_present(&self, opened: Instant) -> bool {
        self.nanoseconds(opened) >= self.present().0
    }

    fn nanoseconds(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.0.begun).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Returns whether the cause of an error [is a demotion](is_demotion).
pub(in crate::engine) fn shows_demotion(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    cause.is_some_and(is_demotion)
}

/// Returns whether an error shows that a server is not the primary any more, or is about to be restarted as something
/// else: it is read-only, shuts down, has crashed, or does not accept connections.
pub(in crate::engine) fn is_demotion(error: &tokio_postgres::Error) -> bool {
    let codes = [
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ];
    error.code().is_some_and(|code| codes.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_before_a_generation_ended_is_left_and_what_was_opened_after_it_is_not() {
        let generations = Generations::new();
        let (opened, first) = (Instant::now(), generations.present());
        assert!(generations.is_present(opened));
        generations.leave(first);
        assert!(generations.present() > first && !generations.is_present(opened));
        assert!(generations.is_present(Instant::now()));
        // The other connections of the first generation end as well.
        let second = generations.present();
        generations.leave(first);
        assert!(generations.present() == second);
        generations.leave(second);
        assert!(generations.present() > second);
    }
}
