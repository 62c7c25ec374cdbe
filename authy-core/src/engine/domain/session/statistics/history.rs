//! How logins ended in each of the last hours, counted by this instance.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};

use super::SessionOutcome;
use crate::time::{from_unix_seconds, unix_now, unix_seconds};

/// Number of hours that are kept, the current one included: what happened last night is seen in the morning. About 2 KB.
const KEPT_HOURS: u64 = 24;

const HOUR_SECONDS: u64 = 3600;

type Counts = [u64; SessionOutcome::ALL.len()];

/// The logins of one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginHour {
    /// When the hour began. Hours begin with those of UTC.
    pub began: DateTime<Utc>,
    /// The number of logins with each outcome, all of [`SessionOutcome::ALL`].
    pub logins: Vec<(SessionOutcome, u64)>,
}

/// Returns hours of several instances, at most the last 24, oldest first, with those in between in which nobody logged in. The
/// last one is the current one.
pub(in crate::engine) fn last_hours(hours: &BTreeMap<DateTime<Utc>, Vec<(SessionOutcome, u64)>>) -> Vec<LoginHour> {
    hours_until(unix_now(), hours)
}

fn hours_until(now: u64, hours: &BTreeMap<DateTime<Utc>, Vec<(SessionOutcome, u64)>>) -> Vec<LoginHour> {
    let last = now / HOUR_SECONDS;
    let earliest = hours.keys().next().map_or(last, |began| unix_seconds(*began) / HOUR_SECONDS);
    let first = (last + 1).saturating_sub(KEPT_HOURS).max(earliest).min(last);
    let nothing = || SessionOutcome::ALL.map(|outcome| (outcome, 0)).into();
    (first..=last)
        .map(|hour| {
            let began = from_unix_seconds(hour * HOUR_SECONDS);
            LoginHour { began, logins: hours.get(&began).cloned().unwrap_or_else(nothing) }
        })
        .collect()
}

/// The logins of each of the last hours.
pub(super) struct LoginHistory {
    /// When this instance began to count, in seconds since 1970.
    since: u64,
    /// Hours with logins, oldest first: the number of hours since 1970, and the counts. A login verifies a password, which
    /// takes a thousand times longer than the lock is held.
    hours: Mutex<VecDeque<(u64, Counts)>>,
}

impl Default for LoginHistory {
    fn default() -> Self {
        Self { since: unix_now(), hours: Mutex::default() }
    }
}

impl LoginHistory {
    /// Returns when this instance began to count.
    pub(super) fn since(&self) -> DateTime<Utc> {
        from_unix_seconds(self.since)
    }

    pub(super) fn count(&self, outcome: SessionOutcome) {
        self.count_at(unix_now(), outcome);
    }

    fn count_at(&self, now: u64, outcome: SessionOutcome) {
        let hour = now / HOUR_SECONDS;
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        // After the clock was set back, what happens counts in the newest hour until the clock has reached it again.
        if hours.back().is_none_or(|(newest, _)| *newest < hour) {
            hours.push_back((hour, Counts::default()));
            while hours.front().is_some_and(|(oldest, _)| oldest + KEPT_HOURS <= hour) {
                hours.pop_front();
            }
        }
        if let Some((_, counts)) = hours.back_mut()
            && let Some(count) = counts.get_mut(outcome as usize)
        {
            *count += 1;
        }
    }

    /// Returns the hours since this instance began to count, at most the last 24, oldest first. The last one is the
    /// current one.
    pub(super) fn snapshot(&self) -> Vec<LoginHour> {
        self.snapshot_at(unix_now())
    }

    fn snapshot_at(&self, now: u64) -> Vec<LoginHour> {
        let last = now / HOUR_SECONDS;
        let first = (last + 1).saturating_sub(KEPT_HOURS).max(self.since / HOUR_SECONDS).min(last);
        let hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |hour| hours.iter().find(|(known, _)| *known == hour).map(|(_, counts)| *counts);
        (first..=last)
            .map(|hour| LoginHour {
                began: from_unix_seconds(hour * HOUR_SECONDS),
                logins: SessionOutcome::ALL.into_iter().zip(counts(hour).unwrap_or_default()).collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 1_560_247_389;

    fn totals(history: &LoginHistory, now: u64) -> Vec<u64> {
        history.snapshot_at(now).iter().map(|hour| hour.logins.iter().map(|(_, count)| count).sum()).collect()
    }

    fn begun() -> LoginHistory {
        LoginHistory { since: BEGIN, hours: Mutex::default() }
    }

    #[test]
    fn each_hour_since_the_start_has_its_counts_and_a_quiet_one_has_zeros() {
        let history = begun();
        assert_eq!(totals(&history, BEGIN), [0]);
        history.count_at(BEGIN, SessionOutcome::Succeeded);
        history.count_at(BEGIN + 1, SessionOutcome::Failed);
        history.count_at(BEGIN + 2 * HOUR_SECONDS, SessionOutcome::InvalidCredentials);
        assert_eq!(totals(&history, BEGIN + 3 * HOUR_SECONDS), [2, 0, 1, 0]);
        let hours = history.snapshot_at(BEGIN + 2 * HOUR_SECONDS);
        assert_eq!(hours[0].began, from_unix_seconds(BEGIN / HOUR_SECONDS * HOUR_SECONDS));
        assert_eq!(hours[0].logins.len(), SessionOutcome::ALL.len());
        assert!(hours[0].logins.contains(&(SessionOutcome::Failed, 1)));
        assert_eq!(hours[2].logins[1], (SessionOutcome::InvalidCredentials, 1));
    }

    #[test]
    fn only_the_last_24_hours_are_kept() {
        let history = begun();
        for hour in 0..100 {
            history.count_at(BEGIN + hour * HOUR_SECONDS, SessionOutcome::Succeeded);
        }
        assert_eq!(totals(&history, BEGIN + 99 * HOUR_SECONDS), [1; 24]);
        assert_eq!(history.hours.lock().unwrap().len(), 24);
        assert_eq!(totals(&history, BEGIN + 1000 * HOUR_SECONDS), [0; 24]);
    }

    #[test]
    fn hours_of_several_instances_have_those_in_between() {
        let hour = |number: u64| from_unix_seconds((BEGIN / HOUR_SECONDS + number) * HOUR_SECONDS);
        let counted = || vec![(SessionOutcome::Succeeded, 1)];
        let hours = BTreeMap::from([(hour(0), counted()), (hour(40), counted()), (hour(42), counted())]);
        let totals = |now: u64| -> Vec<u64> {
            let hours = hours_until(now, &hours);
            hours.iter().map(|hour| hour.logins.iter().map(|(_, count)| count).sum()).collect()
        };
        assert_eq!(totals(BEGIN + 2 * HOUR_SECONDS), [1, 0, 0]);
        let last = totals(BEGIN + 43 * HOUR_SECONDS);
        assert_eq!((last.len(), &last[18..]), (24, &[0, 0, 1, 0, 1, 0][..]));
        assert_eq!(hours_until(BEGIN, &BTreeMap::new()).len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing() {
        let history = begun();
        history.count_at(BEGIN + 5 * HOUR_SECONDS, SessionOutcome::Succeeded);
        history.count_at(BEGIN, SessionOutcome::Succeeded);
        assert_eq!(totals(&history, BEGIN + 5 * HOUR_SECONDS), [0, 0, 0, 0, 0, 2]);
        assert_eq!(totals(&history, BEGIN - 10 * HOUR_SECONDS), [0]);
    }
}
