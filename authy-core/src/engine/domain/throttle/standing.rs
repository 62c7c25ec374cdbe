//! What is on record about the target of a guess and about its address, as of one read.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::{
    backoff::{ACCOUNT_POLICY, ADDRESS_POLICY, FailureCount},
    failure_clock::Tick,
};

/// The counts that apply to an attempt.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Standing {
    pub(super) now: DateTime<Utc>,
    pub(super) own: Option<FailureCount>,
    /// Whether attempts that are counted already are still under way.
    pub(super) is_pending: bool,
    pub(super) address: Option<FailureCount>,
    /// The time when the read began.
    pub(super) since: Tick,
}

/// The keys of the counts that can apply to a login, before its account is known.
pub(in crate::engine) struct LoginKeys {
    /// The key of the name, for the case that no account has it.
    pub(in crate::engine) unknown: String,
    pub(in crate::engine) address: Option<String>,
    pub(in crate::engine) device: Option<String>,
    pub(super) since: Tick,
}

impl Standing {
    /// Reads the counts of the targets in the order of their keys: its own, and the address's.
    pub(super) fn of_rows(rows: &[Row], since: Tick) -> Option<Self> {
        let own = rows.first()?;
        Some(Self {
            now: own.get("now"),
            own: failure_count(own, "failures", "counted"),
            is_pending: own.get("is_pending"),
            address: rows.get(1).and_then(|row| failure_count(row, "failures", "counted")),
            since,
        })
    }

    /// Returns whether no failure counts: such an attempt is not counted before it is verified.
    pub(super) fn is_clear(&self) -> bool {
        !self.is_pending && ACCOUNT_POLICY.forgets(self.own, self.now) && ADDRESS_POLICY.forgets(self.address, self.now)
    }

    pub(super) fn is_address_admitted(&self) -> bool {
        ADDRESS_POLICY.admits(self.address, self.now)
    }

    /// Returns the time to wait; `None` when an attempt is admitted.
    pub(super) fn wait(&self) -> Option<Duration> {
        (!ACCOUNT_POLICY.admits(self.own, self.now)).then(|| ACCOUNT_POLICY.wait(self.own, self.now))
    }
}

impl LoginKeys {
    /// Reads the counts of a login without a known device: of its account, or of a name that no account has.
    pub(in crate::engine) fn standing(&self, row: &Row) -> Standing {
        Standing {
            now: row.get("now"),
            own: failure_count(row, "failures", "counted"),
            is_pending: row.get("is_pending"),
            address: failure_count(row, "address_failures", "address_counted"),
            since: self.since,
        }
    }

    /// Reads the counts of a login on the device whose token was presented, if that is valid. No address counts.
    pub(in crate::engine) fn standing_on_device(&self, row: &Row) -> Standing {
        Standing {
            now: row.get("now"),
            own: failure_count(row, "device_failures", "device_counted"),
            is_pending: row.get("device_is_pending"),
            address: None,
            since: self.since,
        }
    }
}

/// Returns the stored count in two columns of a row, if any.
pub(super) fn failure_count(row: &Row, failures: &str, counted: &str) -> Option<FailureCount> {
    let failures: Option<i32> = row.get(failures);
    Some(FailureCount { failures: failures?.unsigned_abs(), counted: row.get(counted) })
}
