//! The report of an import.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::domain::note::{self, Note, note_kinds};

note_kinds! {
    /// The kind of a note about a row.
    ImportNoteKind;
    /// Returns whether the user or the role is not imported, or what the operator wanted is not done.
    is_refusal;

    /// The row cannot be read.
    Unreadable "unreadable" true;
    /// The source has another row with the same ID or name, which comes first. The row is not imported.
    DuplicateRow "duplicate_row" true;
    /// The public ID is missing or is not a UUID in lower case with dashes. The row is not imported.
    InvalidPublicId "invalid_public_id" true;
    /// Another user has the public ID. The row is not imported.
    PublicIdTaken "public_id_taken" true;
    /// The name is missing, contains a NUL, or is too long. The row is not imported.
    InvalidUsername "invalid_username" true;
    /// Another user has a name of exactly this spelling. The row is not imported.
    UsernameTaken "username_taken" true;
    /// The role has no level. It is not imported, and nobody has it.
    RoleWithoutLevel "role_without_level" true;
    /// There is no role of this name, and the source does not describe it. Users do not get it.
    UnknownRole "unknown_role" true;
    /// A mapping of roles is for one that no user of the source has.
    UnusedMapping "unused_mapping" true;
    /// A service account of Keycloak: a program, which does not log in here. The row is not imported.
    ServiceAccount "service_account" false;
    /// The user could log in with the address there, too, and logs in with the name only here.
    NotByAddress "not_by_address" false abridged;
    /// The public ID is kept, although it is not a random UUID (version 4): other services may refuse it.
    PublicIdVersion "public_id_version" false abridged;
    /// The name equals another one except for case or width. The user logs in with exactly this spelling.
    NameCollision "name_collision" false;
    /// There is no address, and the user gets a placeholder.
    NoEmail "no_email" false abridged;
    /// Another user has the address: this one gets a placeholder, or keeps it unconfirmed when the other one has confirmed it.
    EmailTaken "email_taken" false;
    /// The address looks like the mark of one that an account has lost. The user gets a placeholder.
    EmailReserved "email_reserved" false;
    /// No mail can be sent to the address. It is kept as it is.
    EmailUnusable "email_unusable" false abridged;
    /// The password hash cannot be used. The user is imported without a password.
    UnusablePassword "unusable_password" false;
    /// A time is missing or out of range (years 1 to 9999), and is replaced or left out.
    TimeOutOfRange "time_out_of_range" false abridged;
    /// The user is deleted, and there is no time of the deletion.
    DeletedWithoutDate "deleted_without_date" false abridged;
    /// There is a time of a deletion, and the user is not deleted.
    DateWithoutDeleted "date_without_deleted" false abridged;
    /// The role becomes another one with the same level.
    RoleMerged "role_merged" false;
    /// The role gets another name.
    RoleRenamed "role_renamed" false;
    /// The level of the role is outside of 0 to 99999. It is kept.
    RoleLevelUnusual "role_level_unusual" false;
    /// A membership of a user or a role that does not exist.
    MembershipWithoutRow "membership_without_row" false abridged;
    /// A user has a role that is not imported.
    MembershipDropped "membership_dropped" false abridged;
    /// The user was changed in the source since the last import, and this is not taken. What is here stays.
    KeptHere "kept_here" false;
}

/// A note of the report.
pub type ImportNote = Note<ImportNoteKind>;

/// What an import did or, for a dry run, would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// The name of the source.
    pub source: String,
    /// Whether nothing was written.
    pub is_dry_run: bool,
    /// The time zone in which the times of sign-ups and deletions were read, where the source has none.
    pub app_time_zone: Option<String>,
    /// The time zone in which the times of logins were read, where the source has none.
    pub database_time_zone: Option<String>,
    /// The number of rows that were read.
    pub read: u64,
    /// The number of new users.
    pub created: u64,
    /// The number of users who were imported before and have been changed.
    pub changed: u64,
    /// The number of users who were imported before and are unchanged.
    pub unchanged: u64,
    /// The number of rows that were not imported.
    pub refused: u64,
    /// The number of new roles.
    pub roles_created: u64,
    /// The number of hashes that an earlier import has stored, and over which this one has computed argon2id.
    pub wrapped: u64,
    /// The number of rows for each format of password hashes, and for each reason why one cannot be used.
    pub hashes: BTreeMap<String, u64>,
    /// The number of notes of each kind.
    pub counts: BTreeMap<ImportNoteKind, u64>,
    /// The notes. Of each kind about which nobody has to do anything, such as a time out of range, the first 10,000; of each
    /// other kind the first million.
    pub notes: Vec<ImportNote>,
}

impl ImportReport {
    /// Returns whether everything was imported: no row and no role was refused.
    pub fn is_complete(&self) -> bool {
        !self.counts.keys().any(|kind| kind.is_refusal())
    }

    pub(super) fn note(&mut self, kind: ImportNoteKind, row: &str, message: impl Into<String>) {
        note::add((&mut self.counts, &mut self.notes), kind, &row, message);
    }

    /// Counts notes that are not listed.
    pub(super) fn count(&mut self, kind: ImportNoteKind, more: u64) {
        *self.counts.entry(kind).or_default() += more;
    }

    pub(super) fn count_hash(&mut self, format: &str) {
        match self.hashes.get_mut(format) {
            Some(count) => *count += 1,
            None => drop(self.hashes.insert(format.to_owned(), 1)),
        }
    }

    /// Adds what was found out about one batch.
    pub(super) fn add(&mut self, batch: Self) {
        let Self { read, created, changed, unchanged, refused, hashes, counts, notes, .. } = batch;
        self.read += read;
        self.created += created;
        self.changed += changed;
        self.unchanged += unchanged;
        self.refused += refused;
        for (format, count) in hashes {
            *self.hashes.entry(format).or_default() += count;
        }
        note::append((&mut self.counts, &mut self.notes), counts, notes);
    }
}
