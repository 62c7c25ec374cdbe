//! The backoff policy for guesses: a state machine, (state, outcome, now) → state, without a database or a clock.
//!
//! **Account** ([`ACCOUNT_POLICY`]), one count for all unknown devices together, and one per known device: five
//! failures without a wait; then the wait doubles with each failure, from 30 seconds to one day; from the 50th failure
//! on, it is one week. A week without a failure removes one, a success removes all. An attacker who guesses
//! continuously gets 11 guesses in an hour, 16 in a day, 45 in 30 days, and fewer than 100 in any year.
//!
//! While no failure is on record, an attempt is counted when it has failed, and at most four are under way on each
//! server. By those, an attacker can exceed the five once. They are counted, so the waits after them are as much
//! longer: on one server, 8 at once and 12 in an hour; in a day and more no guess is gained on up to two servers, and
//! those in a year are fewer than 100 on up to seven.
//!
//! This meets the limit of NIST SP 800-63B (section 5.2.2: at most 100 consecutive failures on an account) without a
//! permanent lock: a hundred failures in a row take a year, every wait ends, and meanwhile the owner can log in on a
//! known device, or set a new password by mail. A guess during a wait is not verified, so it reveals nothing. It is not
//! a failure and does not extend the wait.
//!
//! **Address** ([`ADDRESS_POLICY`]), for all targets together: 100 failures, and 100 more per hour. A success removes
//! none, because an attacker may have an account, too. Many people may share an address, so only failures count, and a
//! known device is not affected. The count is compared before a guess and increased after it, so those that each server
//! has under way at that moment, at most its network's part of the queue, can exceed the 100 once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// The waits after failures, and the time for which failures count.
pub(super) struct BackoffPolicy {
    /// Returns the wait after a number of failures.
    delay: fn(u32) -> Duration,
    /// Time without a failure after which one failure less counts.
    pub(super) memory: Duration,
}

/// The policy for an account, or for one known device of it.
pub(super) const ACCOUNT_POLICY: BackoffPolicy = BackoffPolicy { delay: account, memory: WEEK };

/// The policy for an address.
pub(super) const ADDRESS_POLICY: BackoffPolicy = BackoffPolicy { delay: address, memory: Duration::from_secs(36) };

fn account(failures: u32) -> Duration {
    match failures {
        0..5 => Duration::ZERO,
        5..50 => Duration::from_secs(30).saturating_mul(1 << (failures - 5).min(20)).min(DAY),
        50.. => WEEK,
    }
}

/// Until the count is below 100 again. Attempts that are under way at once can make it larger than 100: the wait is as much
/// longer, so that no failure is gained by them in the long run.
fn address(failures: u32) -> Duration {
    ADDRESS_POLICY.memory.saturating_mul(failures.saturating_sub(99)).min(DAY)
}

/// The stored state. There is none when there was no failure since the last success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FailureCount {
    /// The number of failures, including the attempts in progress.
    pub(super) failures: u32,
    /// The time of the last failure.
    pub(super) counted: DateTime<Utc>,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Outcome {
    /// The guess was wrong, or is not verified yet.
    Failed,
    /// The guess was correct.
    Succeeded,
}

impl BackoffPolicy {
    /// Returns whether an attempt is admitted now.
    pub(super) fn admits(&self, state: Option<FailureCount>, now: DateTime<Utc>) -> bool {
        state.is_none_or(|state| (self.delay)(state.failures) <= elapsed(state, now))
    }

    /// Returns the time until an attempt is admitted.
    pub(super) fn wait(&self, state: Option<FailureCount>, now: DateTime<Utc>) -> Duration {
        state.map_or(Duration::ZERO, |state| (self.delay)(state.failures).saturating_sub(elapsed(state, now)))
    }

    /// Returns the state after an attempt. An attempt that is not admitted changes nothing.
    pub(super) fn next(
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

    /// Returns whether this is the smallest number of failures that is followed by a wait.
    pub(super) fn begins_to_slow(&self, failures: u32) -> bool {
        (self.delay)(failures) > Duration::ZERO && (self.delay)(failures.saturating_sub(1)) == Duration::ZERO
    }

    /// Returns whether no failure counts any more.
    pub(super) fn forgets(&self, state: Option<FailureCount>, now: DateTime<Utc>) -> bool {
        state.is_none_or(|state| self.remembered(state, now) == 0)
    }

    /// Returns the time from which on no failure counts.
    pub(super) fn forgotten(&self, state: FailureCount) -> DateTime<Utc> {
        let memory = TimeDelta::from_std(self.memory.saturating_mul(state.failures)).unwrap_or(TimeDelta::MAX);
        state.counted.checked_add_signed(memory).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Returns the number of failures that still count.
    fn remembered(&self, state: FailureCount, now: DateTime<Utc>) -> u32 {
        let forgotten = elapsed(state, now).as_secs() / self.memory.as_secs().max(1);
        state.failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

/// Returns the time since the last failure; zero when the clock was set back.
fn elapsed(state: FailureCount, now: DateTime<Utc>) -> Duration {
    (now - state.counted).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests;
