//! The backoff policy for guesses: a state machine, (state, outcome, now) → state, without a database or a clock.
//!
//! **One account**, from all devices that are not known together, and each known device by itself ([`ACCOUNT`]): five
//! failures at once; then the wait doubles with each, from 30 seconds to a day; from the fiftieth on it is a week. A week
//! without a failure takes one back, a success takes all. An attacker who guesses without a pause gets 11 guesses in an hour, 16
//! in a day, 45 in 30 days, and fewer than 100 in any year.
//!
//! That is how the bound of NIST SP 800-63B (section 5.2.2: no more than 100 consecutive failures on an account) is kept
//! without a lock that lasts for ever: a hundred failures in a row take a year, every wait ends, and the owner is let in
//! meanwhile on a device that is known, or with a new password by mail. What is refused during a wait is not looked at, so it
//! tells the guesser nothing; it is no failure, and nobody prolongs a wait by knocking.
//!
//! **One address** ([`ADDRESS`]), whatever it guesses at: a hundred failures, and a hundred more an hour. A success takes
//! nothing back here: an attacker may well have an account too. Many people may share an address, so only
//! failures count, and a known device is let in all the same.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long to wait after failures, and how long they count.
pub(in crate::engine) struct BackoffPolicy {
    /// The wait after that many failures.
    delay: fn(u32) -> Duration,
    /// After this time without a failure, one failure less counts.
    pub(in crate::engine) memory: Duration,
}

/// The policy for an account, or for one known device of it.
pub(in crate::engine) const ACCOUNT: BackoffPolicy = BackoffPolicy { delay: account, memory: WEEK };

/// The policy for an address.
pub(in crate::engine) const ADDRESS: BackoffPolicy = BackoffPolicy { delay: address, memory: Duration::from_secs(36) };

fn account(failures: u32) -> Duration {
    match failures {
        0..5 => Duration::ZERO,
        5..50 => Duration::from_secs(30).saturating_mul(1 << (failures - 5).min(20)).min(DAY),
        50.. => WEEK,
    }
}

/// Until it is under a hundred again. More than a hundred are those that were under way together.
fn address(failures: u32) -> Duration {
    ADDRESS.memory.saturating_mul(failures.saturating_sub(99)).min(Duration::from_secs(3600))
}

/// What is stored. Nothing, when there was no failure since the last success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) struct FailureCount {
    /// The number of failures, including the attempts under way.
    pub(in crate::engine) failures: u32,
    /// The time of the last one.
    pub(in crate::engine) counted: DateTime<Utc>,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Outcome {
    /// The guess was wrong, or is not verified yet.
    Failed,
    /// It was right.
    Succeeded,
}

impl BackoffPolicy {
    /// Whether an attempt is admitted now.
    pub(in crate::engine) fn admits(&self, state: Option<FailureCount>, now: DateTime<Utc>) -> bool {
        state.is_none_or(|state| (self.delay)(state.failures) <= elapsed(state, now))
    }

    /// Returns the time until an attempt is admitted.
    pub(in crate::engine) fn wait(&self, state: Option<FailureCount>, now: DateTime<Utc>) -> Duration {
        state.map_or(Duration::ZERO, |state| (self.delay)(state.failures).saturating_sub(elapsed(state, now)))
    }

    /// Returns the state after an attempt. One that is not admitted changes nothing.
    pub(in crate::engine) fn next(
        &self,
        state: Option<FailureCount>,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> Option<FailureCount> {
        if !self.admits(state, now) {
            return state;
        }
        match outcome {
            Outcome::Failed => {
                let failures = state.map_or(0, |state| self.remembered(state, now)).saturating_add(1);
                Some(FailureCount { failures, counted: now })
            }
            Outcome::Succeeded => None,
        }
    }

    /// Whether this is the first number of failures that is followed by a wait.
    pub(in crate::engine) fn begins_to_slow(&self, failures: u32) -> bool {
        (self.delay)(failures) > Duration::ZERO && (self.delay)(failures.saturating_sub(1)) == Duration::ZERO
    }

    /// Returns the time from which on no failure counts.
    pub(in crate::engine) fn forgotten(&self, state: FailureCount) -> DateTime<Utc> {
        let memory = TimeDelta::from_std(self.memory.saturating_mul(state.failures)).unwrap_or(TimeDelta::MAX);
        state.counted.checked_add_signed(memory).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Returns the number of failures that still count.
    fn remembered(&self, state: FailureCount, now: DateTime<Utc>) -> u32 {
        let forgotten = elapsed(state, now).as_secs() / self.memory.as_secs().max(1);
        state.failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

/// A clock that was set back has not moved.
fn elapsed(state: FailureCount, now: DateTime<Utc>) -> Duration {
    (now - state.counted).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests;
