//! How logins and refreshes ended, counted since the start of this instance.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use crate::{ErrorKind, Result};

mod history;

use history::LoginHistory;
pub use history::LoginHour;
pub(in crate::engine) use history::last_hours;

/// How a login or a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionOutcome {
    /// There are new tokens.
    Succeeded,
    /// The username, the password or the refresh token was wrong; or too many wrong ones came before.
    InvalidCredentials,
    /// The address must be confirmed first.
    NotValidated,
    /// The account has no role.
    NoRole,
    /// Too many passwords waited to be verified.
    Overloaded,
    /// The database was not available.
    Unavailable,
    /// Another error, whose cause is in the log.
    Failed,
}

impl SessionOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Succeeded,
        Self::InvalidCredentials,
        Self::NotValidated,
        Self::NoRole,
        Self::Overloaded,
        Self::Unavailable,
        Self::Failed,
    ];

    /// Returns the name of the outcome.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::InvalidCredentials => "invalid_credentials",
            Self::NotValidated => "not_validated",
            Self::NoRole => "no_role",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }

    fn of<T>(result: &Result<T>) -> Self {
        match result.as_ref().map_err(crate::Error::kind) {
            Ok(_) => Self::Succeeded,
            Err(ErrorKind::InvalidCredentials | ErrorKind::InvalidRefreshToken) => Self::InvalidCredentials,
            Err(ErrorKind::NotValidated) => Self::NotValidated,
            Err(ErrorKind::NoRole) => Self::NoRole,
            Err(ErrorKind::Overloaded) => Self::Overloaded,
            Err(ErrorKind::Unavailable) => Self::Unavailable,
            Err(_) => Self::Failed,
        }
    }
}

/// The number of logins or refreshes with each outcome.
#[derive(Default)]
pub(super) struct OutcomeCounts([AtomicU64; SessionOutcome::ALL.len()]);

impl OutcomeCounts {
    /// Counts a result, and returns it.
    pub(super) fn count<T>(&self, result: Result<T>) -> Result<T> {
        self.add(SessionOutcome::of(&result));
        result
    }

    fn add(&self, outcome: SessionOutcome) {
        if let Some(count) = self.0.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn snapshot(&self) -> Vec<(SessionOutcome, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        SessionOutcome::ALL.into_iter().zip(counts).collect()
    }
}

/// What the sessions of this instance count.
#[derive(Default)]
pub(in crate::engine) struct SessionCounts {
    logins: OutcomeCounts,
    login_hours: LoginHistory,
    pub(super) refreshes: OutcomeCounts,
    /// Sessions that ended because a spent refresh token was presented.
    pub(super) replays: AtomicU64,
}

/// The logins and refreshes since the start of this instance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionStatistics {
    /// The number of logins with each outcome.
    pub logins: Vec<(SessionOutcome, u64)>,
    /// How logins ended in each hour since the start of this instance, at most in the last 24, oldest first. The last hour is
    /// the current one.
    pub login_hours: Vec<LoginHour>,
    /// When this instance began to count.
    pub since: DateTime<Utc>,
    /// The number of refreshes with each outcome.
    pub refreshes: Vec<(SessionOutcome, u64)>,
    /// The number of sessions that ended because a spent refresh token was presented: it was stolen, or a client sends
    /// old tokens.
    pub replays: u64,
}

impl SessionCounts {
    /// Counts the result of a login, and returns it.
    pub(super) fn count_login<T>(&self, result: Result<T>) -> Result<T> {
        let outcome = SessionOutcome::of(&result);
        self.logins.add(outcome);
        self.login_hours.count(outcome);
        result
    }

    pub(in crate::engine) fn snapshot(&self) -> SessionStatistics {
        SessionStatistics {
            logins: self.logins.snapshot(),
            login_hours: self.login_hours.snapshot(),
            since: self.login_hours.since(),
            refreshes: self.refreshes.snapshot(),
            replays: self.replays.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn every_outcome_has_a_count_and_a_name_of_its_own() {
        let kinds = [
            None,
            Some(ErrorKind::InvalidCredentials),
            Some(ErrorKind::NotValidated),
            Some(ErrorKind::NoRole),
            Some(ErrorKind::Overloaded),
            Some(ErrorKind::Unavailable),
            Some(ErrorKind::Internal),
        ];
        for (kind, expected) in kinds.into_iter().zip(SessionOutcome::ALL) {
            let counts = OutcomeCounts::default();
            let _ = counts.count(kind.map_or(Ok(()), |kind| Err(Error::new(kind, "a detail"))));
            let counted: Vec<_> = counts.snapshot().into_iter().filter(|(_, count)| *count > 0).collect();
            assert_eq!(counted, [(expected, 1)]);
        }
        let names: std::collections::HashSet<_> = SessionOutcome::ALL.map(SessionOutcome::as_str).into();
        assert_eq!(names.len(), SessionOutcome::ALL.len());
    }
}
