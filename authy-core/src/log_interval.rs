//! Limits how often a line is logged.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Minimum time between two lines of a kind: every request of every user may cause one.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// When a line of a kind was last logged.
#[derive(Debug, Default)]
pub(crate) struct LogInterval(Mutex<Option<Instant>>);

impl LogInterval {
    /// Returns whether no such line was logged within the last minute. If so, it counts as logged now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_some_and(|logged| now.saturating_duration_since(logged) < LOG_INTERVAL) {
            return false;
        }
        *logged = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_logged_at_most_once_a_minute() {
        let (log, begin) = (LogInterval::default(), Instant::now());
        let is_due_after = |seconds| log.is_due(begin + Duration::from_secs(seconds));
        assert_eq!([0, 0, 59, 60, 61, 119, 121].map(is_due_after), [true, false, false, true, false, false, true]);
    }
}
