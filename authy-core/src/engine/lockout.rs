//! How fast something may be guessed at: a state machine, (state, outcome, now) → state, without a database or a clock.
//!
//! **One account**, from all devices that are not known together, and each known device by itself ([`ACCOUNT`]): five
//! failures at once; then the wait doubles with each, from 30 seconds to a day; from the fiftieth on it is a week. A week
//! without a failure takes one back, a success takes all. Whoever guesses without a pause gets 11 guesses in an hour, 16 in
//! a day, 45 in 30 days, and fewer than 100 in any year.
//!
//! That is how the bound of NIST SP 800-63B (section 5.2.2: no more than 100 consecutive failures on an account) is kept
//! without a lock that lasts for ever: a hundred failures in a row take a year, every wait ends, and the owner is let in
//! meanwhile on a device that is known, or with a new password by mail. What is refused during a wait is not looked at, so it
//! tells the guesser nothing; it is no failure, and nobody prolongs a wait by knocking.
//!
//! **One address** ([`ADDRESS`]), whatever it guesses at: a hundred failures, and a hundred more an hour. A success takes
//! nothing back here: who guesses at other accounts may well have one of his own. Many people may share an address, so only
//! failures count, and a known device is let in all the same.

use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What failures cost.
pub(super) struct Schedule {
    /// How long to wait after that many failures.
    delay: fn(u32) -> Duration,
    /// So long without a failure takes one back.
    pub(super) memory: Duration,
}

/// Of an account, or of one known device of it.
pub(super) const ACCOUNT: Schedule = Schedule { delay: account, memory: WEEK };

/// Of an address.
pub(super) const ADDRESS: Schedule = Schedule { delay: address, memory: Duration::from_secs(36) };

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

/// What is remembered. Nothing, when there was no failure since the last success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// How many failed, the attempts under way included.
    pub(super) failures: u32,
    /// When the last of them was counted.
    pub(super) counted: SystemTime,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The guess was wrong, or nobody knows yet.
    Failed,
    /// It was right.
    Succeeded,
}

impl Schedule {
    /// Whether an attempt is looked at now.
    pub(super) fn admits(&self, state: Option<State>, now: SystemTime) -> bool {
        state.is_none_or(|state| (self.delay)(state.failures) <= elapsed(state, now))
    }

    /// How long it takes until an attempt is looked at.
    pub(super) fn wait(&self, state: Option<State>, now: SystemTime) -> Duration {
        state.map_or(Duration::ZERO, |state| (self.delay)(state.failures).saturating_sub(elapsed(state, now)))
    }

    /// The state after an attempt. One that is not looked at changes nothing.
    pub(super) fn next(&self, state: Option<State>, outcome: Outcome, now: SystemTime) -> Option<State> {
        if !self.admits(state, now) {
            return state;
        }
        match outcome {
            Outcome::Failed => {
                let failures = state.map_or(0, |state| self.remembered(state, now)).saturating_add(1);
                Some(State { failures, counted: now })
            }
            Outcome::Succeeded => None,
        }
    }

    /// Whether this many failures are the first that somebody has to wait after.
    pub(super) fn begins_to_slow(&self, failures: u32) -> bool {
        (self.delay)(failures) > Duration::ZERO && (self.delay)(failures.saturating_sub(1)) == Duration::ZERO
    }

    /// From when on it is as if there had never been a failure.
    pub(super) fn forgotten(&self, state: State) -> SystemTime {
        state.counted + self.memory.saturating_mul(state.failures)
    }

    /// The failures that still count.
    fn remembered(&self, state: State, now: SystemTime) -> u32 {
        let forgotten = elapsed(state, now).as_secs() / self.memory.as_secs().max(1);
        state.failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

/// A clock that was set back has not moved.
fn elapsed(state: State, now: SystemTime) -> Duration {
    now.duration_since(state.counted).unwrap_or_default()
}

#[cfg(test)]
mod tests;
