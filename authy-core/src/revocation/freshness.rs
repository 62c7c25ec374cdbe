//! The age of the known revocations. Clock readings are parameters, so that tests control them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::server_clock::MAX_STEP_BACK;

/// The two clocks of this machine. Neither is sufficient alone: the monotonic clock stops while a Linux machine is
/// suspended, and the wall clock can be set back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begun: Instant,
}

/// A reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the monotonic clock, since an arbitrary point in the past.
    pub monotonic: Duration,
    /// By the wall clock, since 1970.
    pub wall: Duration,
}

/// Added to the monotonic clock, so that it can represent moments before the start of this program, which a file may
/// contain.
const MONOTONIC_OFFSET: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Clock {
    /// Creates a clock that starts now.
    pub fn new() -> Self {
        Self { begun: Instant::now() }
    }

    /// Returns the current reading of both clocks.
    pub fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { monotonic: MONOTONIC_OFFSET + self.begun.elapsed(), wall }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Moment {
    /// Returns the time since an earlier moment, by the clock that shows more.
    pub fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        monotonic.max(self.wall.saturating_sub(earlier.wall))
    }

    /// Returns the moment that is earlier by `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self { monotonic: self.monotonic.saturating_sub(duration), wall: self.wall.saturating_sub(duration) }
    }
}

/// The moment up to which all revocations are known.
#[derive(Debug)]
pub struct Freshness {
    // Milliseconds by each clock. They are read one after the other. When they belong to different moments, the result
    // can only be too old, which is safe.
    monotonic: AtomicU64,
    wall: AtomicU64,
}

/// The value before the first snapshot.
const NO_SNAPSHOT: u64 = u64::MAX;

impl Freshness {
    /// Creates a value without a snapshot.
    pub fn new() -> Self {
        Self { monotonic: AtomicU64::new(NO_SNAPSHOT), wall: AtomicU64::new(NO_SNAPSHOT) }
    }

    /// Records that all revocations up to this moment are known.
    pub fn set(&self, known: Moment) {
        self.monotonic.store(milliseconds(known.monotonic), Ordering::Release);
        self.wall.store(milliseconds(known.wall), Ordering::Release);
    }

    /// Returns the age of the known revocations; `None` before the first snapshot.
    pub fn age(&self, now: Moment) -> Option<Duration> {
        let known = |clock: &AtomicU64| match clock.load(Ordering::Acquire) {
            NO_SNAPSHOT => None,
            milliseconds => Some(Duration::from_millis(milliseconds)),
        };
        let (wall, monotonic) = (known(&self.wall)?, known(&self.monotonic)?);
        Some(now.since(Moment { monotonic, wall }))
    }

    /// Returns whether the wall clock has been set back since the last snapshot. Revocations may have been forgotten
    /// while it was ahead, so nothing is known until all of them have been read again.
    pub fn was_set_back(&self, now: Moment) -> bool {
        match self.wall.load(Ordering::Acquire) {
            NO_SNAPSHOT => false,
            wall => Duration::from_millis(wall) > now.wall + MAX_STEP_BACK,
        }
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Self::new()
    }
}

/// Rounds down, so that the known revocations look older rather than newer.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NO_SNAPSHOT).min(NO_SNAPSHOT - 1)
}

/// Converts the times of the snapshots that a server sends over one connection from the server's clock to the clocks of
/// this machine.
///
/// The first snapshot is not older than the request. After that, the server's clock determines the time between two
/// snapshots. So the clocks do not need to agree, and delays on the network are noticed.
#[derive(Debug)]
pub struct SnapshotClock {
    // A moment of this machine, and the server time (milliseconds since 1970) at that moment.
    here: Moment,
    there: Option<u64>,
}

impl SnapshotClock {
    /// Creates the clock of a connection whose request was sent after this moment.
    pub fn new(requested: Moment) -> Self {
        Self { here: requested, there: None }
    }

    /// Returns when a snapshot that arrived now was taken, or an earlier moment where that is not certain.
    pub fn taken(&mut self, as_of_ms: u64, now: Moment) -> Moment {
        let there = *self.there.get_or_insert(as_of_ms);
        let shift = |clock: Duration| match as_of_ms.checked_sub(there) {
            Some(later) => clock.saturating_add(Duration::from_millis(later)),
            None => clock.saturating_sub(Duration::from_millis(there.saturating_sub(as_of_ms))),
        };
        // Nothing arrives before it was sent: the server's clock is further ahead than assumed, so it is aligned again.
        let taken = Moment {
            monotonic: shift(self.here.monotonic).min(now.monotonic),
            wall: shift(self.here.wall).min(now.wall),
        };
        (self.here, self.there) = (taken, Some(as_of_ms));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    /// A reading, in seconds by the monotonic clock and by the wall clock.
    fn at(monotonic: u64, wall: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(DAY + monotonic), wall: Duration::from_secs(100 * DAY + wall) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_age_is_that_of_the_clock_that_shows_more() {
        let freshness = Freshness::new();
        assert_eq!(freshness.age(at(0, 0)), None);
        freshness.set(at(10, 10));
        assert_eq!(freshness.age(at(13, 13)), Some(seconds(3)));
        // Suspended for an hour: the monotonic clock stopped.
        assert_eq!(freshness.age(at(13, 3613)), Some(seconds(3603)));
        // The wall clock was set back.
        assert_eq!(freshness.age(at(73, 0)), Some(seconds(63)));
        // A step that is too small to bring a revoked token back is no reason to doubt.
        assert_eq!([0, 1, 20].map(|wall| freshness.was_set_back(at(20, wall))), [false; 3]);
        freshness.set(at(20, 3620));
        assert_eq!([3609, 3610].map(|wall| freshness.was_set_back(at(21, wall))), [true, false]);
        // Known before the start of this program.
        freshness.set(at(20, 20).minus(seconds(2 * DAY)));
        assert_eq!(freshness.age(at(20, 20)), Some(seconds(2 * DAY)));
    }

    #[test]
    fn revocations_are_as_old_as_their_snapshot_and_not_as_their_arrival() {
        // The server's clock is a year off.
        let server = |seconds: u64| (465 * DAY + seconds) * 1000;
        let mut snapshots = SnapshotClock::new(at(0, 0));
        // The response took 2 s: its snapshot may be as old as the request.
        assert_eq!(snapshots.taken(server(0), at(2, 2)), at(0, 0));
        // A connection that delivers one event per second, but only every 3 s.
        for number in 1..=20 {
            assert_eq!(snapshots.taken(server(number), at(3 * number, 3 * number)), at(number, number));
        }
        // Suspended for an hour; then an event arrives that was sent before.
        assert_eq!(at(61, 3661).since(snapshots.taken(server(21), at(61, 3661))), seconds(3640));
    }

    #[test]
    fn setting_a_clock_does_not_make_revocations_look_newer() {
        let mut snapshots = SnapshotClock::new(at(0, 0));
        snapshots.taken(10_000, at(0, 0));
        // The wall clock of this machine is set back by a minute: the monotonic one still shows 9 s of delay.
        let taken = snapshots.taken(11_000, at(10, 10).with_wall_back(60));
        assert_eq!(at(10, 10).with_wall_back(60).since(taken), seconds(9));
        // The server's clock jumps ahead by an hour: no snapshot is from the future, and later ones do not look newer.
        let taken = snapshots.taken(3_612_000, at(11, 11));
        assert_eq!(at(11, 11).since(taken), seconds(0));
        assert_eq!(at(20, 20).since(snapshots.taken(3_613_000, at(20, 20))), seconds(8));
        // The clock is corrected: snapshots count as an hour old until the next connection.
        assert!(at(21, 21).since(snapshots.taken(20_000, at(21, 21))) > seconds(3000));
    }

    impl Moment {
        fn with_wall_back(self, seconds: u64) -> Self {
            Self { wall: self.wall.saturating_sub(Duration::from_secs(seconds)), ..self }
        }
    }
}
