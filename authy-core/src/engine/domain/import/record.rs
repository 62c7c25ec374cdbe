//! What a source says about its users and roles.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::report::ImportNoteKind;
use crate::Secret;

/// A user, as a source describes it. Nothing is checked yet.
///
/// It is also a line of the format [`ImportFormat::JsonLines`](super::source::ImportFormat::JsonLines): an object with
/// these fields, all of which can be left out.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportRecord {
    /// The ID of the user in the source, by which another import recognizes it. When left out: the public ID, or else
    /// the name.
    pub id: Option<String>,
    /// The public ID, which is kept: a UUID in lower case with dashes. When left out, the user gets a new one.
    pub public_id: Option<String>,
    /// The username, which is kept as it is.
    pub username: Option<String>,
    /// The email address, which is kept as it is.
    pub email: Option<String>,
    /// Whether the address is confirmed.
    pub validated: bool,
    /// The hash of the password, in a format that can be verified.
    pub password_hash: Option<Secret>,
    /// The time of the sign-up (RFC 3339).
    #[serde(deserialize_with = "time")]
    pub created: Option<DateTime<Utc>>,
    /// The time of the last login (RFC 3339).
    #[serde(deserialize_with = "time")]
    pub last_login: Option<DateTime<Utc>>,
    /// Whether the user is deleted.
    pub deleted: bool,
    /// The time of the deletion (RFC 3339).
    #[serde(deserialize_with = "time")]
    pub delete_date: Option<DateTime<Utc>>,
    /// The names of the roles. When left out, the role `user`.
    pub roles: Option<Vec<String>>,
}

/// Reads a time in RFC 3339, or `null`.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let time = text.map(|text| DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc()));
    time.transpose().map_err(D::Error::custom)
}

/// A role, as a source describes it.
#[derive(Clone, Debug)]
pub(super) struct SourceRole {
    /// By which the users name it.
    pub(super) key: String,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) level: Option<i32>,
}

impl SourceRole {
    /// Returns what the role can be called by: its name, and its key.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        [self.name.as_deref(), Some(self.key.as_str())].into_iter().flatten()
    }
}

impl fmt::Display for SourceRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name:?}"),
            None => write!(f, "without a name (ID {})", self.key),
        }
    }
}

/// A row of a source: a user, or why it cannot be read.
#[derive(Clone, Debug)]
pub(super) struct SourceRow {
    /// The ID in the source; for a row that cannot be read, its place.
    pub(super) place: String,
    pub(super) record: Result<ImportRecord, SkippedRow>,
}

/// Why a row is no user.
#[derive(Clone, Debug)]
pub(super) struct SkippedRow {
    /// The ID in the source, where it is known.
    pub(super) id: Option<String>,
    pub(super) kind: ImportNoteKind,
    pub(super) reason: String,
}

impl SkippedRow {
    pub(super) fn unreadable(reason: String) -> Self {
        Self { id: None, kind: ImportNoteKind::Unreadable, reason }
    }
}
