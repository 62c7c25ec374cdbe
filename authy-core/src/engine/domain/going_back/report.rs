//! The report of an export.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::domain::note::{self, Note, note_kinds};

note_kinds! {
    /// The kind of a note about a user or a role.
    ExportNoteKind;
    /// Returns whether something that was created or changed here is not written.
    is_refusal;

    /// The name is longer than 50 characters. The user is not written.
    UsernameTooLong "username_too_long" true;
    /// Another user there has exactly this name. The user is not written.
    UsernameTaken "username_taken" true;
    /// A user there has this public ID, and was neither imported nor exported. The user is not written.
    OtherUser "other_user" true;
    /// The address is longer than 100 characters. It is not written.
    EmailTooLong "email_too_long" true;
    /// Another user there has the address. It is not written.
    EmailTaken "email_taken" true;
    /// The role has no counterpart there and cannot be created. Nobody gets it.
    RoleNotWritten "role_not_written" true;
    /// The user was changed here and there. What is there stays.
    KeptThere "kept_there" true;
    /// No hash that the first authy understands is known for the password: the user has to reset it there.
    MustReset "must_reset" false;
    /// The user has no address here, for example because another user has confirmed it, and has none there now.
    NoEmail "no_email" false abridged;
    /// The user was erased here, and is deleted there: the name stays, everything else is removed.
    Erased "erased" false abridged;
    /// None of the users who were imported is in the database. Everything is written, perhaps into another one than was meant.
    NobodyKnown "nobody_known" false;
    /// The role gets another name, or loses a description that is too long.
    RoleChanged "role_changed" false;
}

/// A note of the report.
pub type ExportNote = Note<ExportNoteKind>;

/// What an export did or, for a dry run, would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExportReport {
    /// The name of the source that users were imported from, and are written to.
    pub source: String,
    /// Whether nothing was written.
    pub is_dry_run: bool,
    /// The time zone in which the times of sign-ups and deletions are written.
    pub app_time_zone: String,
    /// The time zone in which the times of logins are written.
    pub database_time_zone: String,
    /// The number of users here.
    pub read: u64,
    /// The number of users who are new there.
    pub created: u64,
    /// The number of users who were there and have been changed.
    pub changed: u64,
    /// The number of users for whom nothing was written.
    pub unchanged: u64,
    /// The number of users of these who should have been written and were not.
    pub refused: u64,
    /// The number of roles that are new there.
    pub roles_created: u64,
    /// The number of notes of each kind.
    pub counts: BTreeMap<ExportNoteKind, u64>,
    /// The notes. Of users without an address and of erased ones the first 10,000; of each other kind the first million.
    pub notes: Vec<ExportNote>,
}

impl ExportReport {
    /// Returns whether everything that was created or changed here is there now.
    pub fn is_complete(&self) -> bool {
        !self.counts.keys().any(|kind| kind.is_refusal())
    }

    pub(super) fn note(&mut self, kind: ExportNoteKind, row: &impl ToString, message: impl Into<String>) {
        note::add((&mut self.counts, &mut self.notes), kind, row, message);
    }

    /// Adds what was done about some users.
    pub(super) fn add(&mut self, some: Self) {
        let Self { read, created, changed, unchanged, refused, counts, notes, .. } = some;
        self.read += read;
        self.created += created;
        self.changed += changed;
        self.unchanged += unchanged;
        self.refused += refused;
        note::append((&mut self.counts, &mut self.notes), counts, notes);
    }
}
