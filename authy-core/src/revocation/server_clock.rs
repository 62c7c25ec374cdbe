//! Compares the clock of this machine with that of the database. Clock readings are parameters, so that tests control
//! them.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::Moment;
use crate::log_interval::LogInterval;

/// Maximum step back of a clock that is ignored. Revocations last a minute longer than their tokens, so a smaller step
/// brings no revoked token back.
pub(super) const MAX_STEP_BACK: Duration = Duration::from_secs(10);

/// Minimum difference that is logged: clocks that are synchronized differ by milliseconds, and a snapshot that arrives
/// may be a second old.
const MIN_LOGGED_SKEW: TimeDelta = TimeDelta::seconds(2);

/// Maximum difference at which tokens are signed, and at which a token is refused for its times. Half of the time by
/// which verifiers accept an issuer's clock to be ahead.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);

/// The clock of the database, as far as this machine knows it.
#[derive(Debug)]
pub struct ServerClock {
    // Times in milliseconds when the monotonic clock showed zero: by the clock of the database, by the latest reading
    // of it that is possible, and by the wall clock of this machine at the last comparison.
    server: AtomicI64,
    latest: AtomicI64,
    own: AtomicI64,
    logged: LogInterval,
}

/// The value before the first comparison.
const UNKNOWN: i64 = i64::MIN;

impl ServerClock {
    /// Creates a clock that nothing is known about.
    pub fn new() -> Self {
        let [server, latest, own] = [UNKNOWN; 3].map(AtomicI64::new);
        Self { server, latest, own, logged: LogInterval::default() }
    }

    /// Records that the clock of the database showed `as_of_ms`, in milliseconds since 1970, at a moment between these
    /// two. Logs a difference of more than two seconds, at most once a minute.
    ///
    /// Returns whether one of the two clocks was set back since the last record. Then revocations may have been
    /// forgotten that are needed again, so all of them have to be read.
    pub fn record(&self, as_of_ms: u64, requested: Moment, received: Moment) -> bool {
        let as_of = i64::try_from(as_of_ms).unwrap_or(i64::MAX / 2);
        let (earliest, latest) = (as_of - milliseconds(received.monotonic), as_of - milliseconds(requested.monotonic));
        let own = zero(received);
        let step = i64::try_from(MAX_STEP_BACK.as_millis()).unwrap_or(i64::MAX);
        let was_set_back = |last: i64, present: i64| last != UNKNOWN && present < last - step;
        let own_was_set_back = was_set_back(self.own.swap(own, Ordering::AcqRel), own);
        let other_was_set_back = was_set_back(self.latest.swap(latest, Ordering::AcqRel), latest);
        // No difference where none is certain.
        self.server.store(own.clamp(earliest.min(latest), latest), Ordering::Release);
        self.log(received);
        own_was_set_back || other_was_set_back
    }

    /// Returns how far the wall clock of this machine is ahead of the clock of the database; negative when it is behind,
    /// zero when the time of the exchange explains the difference, and `None` before the first record.
    pub fn skew(&self, now: Moment) -> Option<TimeDelta> {
        match self.server.load(Ordering::Acquire) {
            UNKNOWN => None,
            server => Some(TimeDelta::milliseconds(zero(now) - server)),
        }
    }

    /// Returns whether the times in tokens can be compared with the clock of this machine: the known difference is at
    /// most 30 seconds.
    pub fn is_right(&self, now: Moment) -> bool {
        self.skew(now).is_none_or(|skew| skew.abs() <= MAX_SKEW)
    }

    fn log(&self, now: Moment) {
        let Some(skew) = self.skew(now).filter(|skew| skew.abs() > MIN_LOGGED_SKEW) else { return };
        if !self.logged.is_due(Instant::now()) {
            return;
        }
        let own = i64::try_from(now.wall.as_millis()).unwrap_or(i64::MAX);
        let text = |milliseconds| {
            let time = DateTime::<Utc>::from_timestamp_millis(milliseconds).unwrap_or(DateTime::<Utc>::MAX_UTC);
            time.to_rfc3339_opts(SecondsFormat::Millis, true)
        };
        tracing::warn!(
            own_clock = text(own),
            database_clock = text(own.saturating_sub(skew.num_milliseconds())),
            "the clock of this machine differs from that of authy's database: synchronize both. Beyond 30 seconds no \
             token is signed, and none is refused for its times"
        );
    }
}

impl Default for ServerClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns what the wall clock would have shown when the monotonic clock showed zero, in milliseconds since 1970.
fn zero(now: Moment) -> i64 {
    milliseconds(now.wall) - milliseconds(now.monotonic)
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: u64 = 365 * 24 * 3600;

    /// A reading, in seconds after the start by both clocks, with the wall clock ahead by some seconds.
    fn at(seconds: u64, ahead: i64) -> Moment {
        let wall = (50 * YEAR + seconds).checked_add_signed(ahead).unwrap();
        Moment { monotonic: Duration::from_secs(10 * YEAR + seconds), wall: Duration::from_secs(wall) }
    }

    /// The time of the database so many seconds after the start, in milliseconds since 1970.
    fn database(seconds: u64) -> u64 {
        (50 * YEAR + seconds) * 1000
    }

    fn skew(clock: &ServerClock, now: Moment) -> i64 {
        clock.skew(now).unwrap().num_seconds()
    }

    #[test]
    fn a_difference_is_known_beyond_the_time_of_the_exchange() {
        let clock = ServerClock::new();
        assert!(clock.skew(at(0, 0)).is_none() && clock.is_right(at(0, 7200)));
        // It took 4 s, at any moment of which the database read its clock.
        for ahead in [-2, 0, 2] {
            clock.record(database(2), at(0, ahead), at(4, ahead));
            assert_eq!(skew(&clock, at(4, ahead)), 0);
        }
        clock.record(database(2), at(0, 10), at(4, 10));
        assert_eq!(skew(&clock, at(4, 10)), 8);
        clock.record(database(2), at(0, -10), at(4, -10));
        assert_eq!(skew(&clock, at(4, -10)), -8);
    }

    #[test]
    fn a_clock_that_jumps_is_wrong_before_the_next_record() {
        let clock = ServerClock::new();
        clock.record(database(0), at(0, 0), at(0, 0));
        assert!(clock.is_right(at(100, 30)) && clock.is_right(at(100, -30)));
        assert!(!clock.is_right(at(100, 31)) && !clock.is_right(at(100, -31)));
        assert_eq!(skew(&clock, at(100, 3600)), 3600);
    }

    #[test]
    fn a_clock_that_is_set_back_is_noticed_and_one_that_is_set_forward_is_not() {
        let clock = ServerClock::new();
        assert!(!clock.record(database(0), at(0, 0), at(0, 0)));
        // An hour ahead, for a second and a half.
        assert!(!clock.record(database(1), at(1, 3600), at(1, 3600)));
        assert!(clock.record(database(2), at(2, 0), at(2, 0)));
        assert!(!clock.record(database(3), at(3, 0), at(3, 0)));
        // The same with the clock of the database.
        assert!(!clock.record(database(3604), at(4, 0), at(4, 0)));
        assert!(clock.record(database(5), at(5, 0), at(5, 0)));
        assert!(!clock.record(database(6), at(6, 0), at(6, 0)));
        // Corrections, and exchanges that take longer, are not steps.
        assert!(!clock.record(database(7), at(7, -9), at(7, -9)));
        assert!(!clock.record(database(8), at(8, -9), at(30, -9)));
        assert!(!clock.record(database(31), at(31, -9), at(31, -9)));
    }
}
