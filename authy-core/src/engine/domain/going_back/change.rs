//! What an export writes there.

use chrono::{DateTime, Utc};

use crate::Secret;

/// A user who is created there.
pub(super) struct NewUser {
    pub(super) public_id: String,
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) email: Option<String>,
    pub(super) created: DateTime<Utc>,
    pub(super) last_login: Option<DateTime<Utc>>,
    pub(super) deleted_at: Option<DateTime<Utc>>,
    pub(super) is_validated: bool,
    pub(super) roles: Vec<i64>,
}

/// A change of a user there. What is `None` stays.
#[derive(Default)]
pub(super) struct Change {
    pub(super) password: Option<Secret>,
    pub(super) email: Option<Option<String>>,
    pub(super) is_validated: Option<bool>,
    /// When the user was deleted, or `None` when restored.
    pub(super) deleted_at: Option<Option<DateTime<Utc>>>,
    pub(super) last_login: Option<DateTime<Utc>>,
    pub(super) granted: Vec<i64>,
    pub(super) revoked: Vec<i64>,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        !self.changes_row() && self.granted.is_empty() && self.revoked.is_empty()
    }

    /// Returns whether the row of the user changes.
    pub(super) fn changes_row(&self) -> bool {
        let Self { password, email, is_validated, deleted_at, last_login, .. } = self;
        self.voids_codes()
            || [password.is_some(), email.is_some(), is_validated.is_some()].contains(&true)
            || deleted_at.is_some()
            || last_login.is_some()
    }

    /// Returns whether codes are void that were sent there before.
    pub(super) fn voids_codes(&self) -> bool {
        self.password.is_some() || self.email.is_some() || self.deleted_at.is_some()
    }
}

/// A role that is created there.
pub(super) struct NewRole {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) level: i32,
}
