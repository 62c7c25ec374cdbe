//! Where users are imported from.

use std::{path::PathBuf, vec};

use super::{
    record::{ImportRecord, SourceRole, SourceRow},
    report::{ImportNoteKind, ImportReport},
};
use crate::{Result, tls::Roots};

mod document;
mod file;
pub(in crate::engine::domain) mod first_authy;
mod format;

pub use format::{FirebaseHash, ImportFormat};

/// A source of users: the database of the first authy, a file, or records in memory.
#[derive(Debug)]
pub struct ImportSource {
    name: String,
    kind: SourceKind,
}

#[derive(Debug)]
enum SourceKind {
    FirstAuthy(Box<FirstAuthy>),
    File { path: PathBuf, format: ImportFormat },
    Records(Vec<ImportRecord>),
}

/// The database of the first authy, the program in Python.
///
/// It is read in one transaction that sees one state of the database and changes nothing.
#[derive(Clone, Debug)]
pub struct FirstAuthy {
    /// How to connect. Needs the permission to SELECT from `users`, `role` and `user_role`, and no other.
    pub database: tokio_postgres::Config,
    /// The certificate authorities that verify its server.
    pub roots: Roots,
    /// The time zone of the program that wrote the times of sign-ups and deletions; UTC when `None`.
    pub app_time_zone: Option<String>,
    /// The time zone of its database sessions, in which it wrote the times of logins; that of a session of the same role
    /// when `None`.
    pub database_time_zone: Option<String>,
}

impl ImportSource {
    /// Returns the source for a database of the first authy, with the name `authy-1`.
    pub fn first_authy(database: FirstAuthy) -> Self {
        Self { name: "authy-1".to_owned(), kind: SourceKind::FirstAuthy(Box::new(database)) }
    }

    /// Returns the source for a file, with the name of the format.
    pub fn file(path: impl Into<PathBuf>, format: ImportFormat) -> Self {
        Self { name: format.as_str().to_owned(), kind: SourceKind::File { path: path.into(), format } }
    }

    /// Returns the source for records, with the name `records`.
    pub fn records(records: impl IntoIterator<Item = ImportRecord>) -> Self {
        Self { name: "records".to_owned(), kind: SourceKind::Records(records.into_iter().collect()) }
    }

    /// Sets the name of the source, by which another import recognizes its users: for a second source of the same kind.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Opens the source, and reads what does not belong to a single user.
    pub(super) async fn open(self) -> Result<Reader> {
        let rows = match self.kind {
            SourceKind::FirstAuthy(database) => Rows::FirstAuthy(Box::new(first_authy::Reader::open(&database).await?)),
            SourceKind::File { path, format } => Rows::File(file::FileReader::open(path, format).await?),
            SourceKind::Records(records) => Rows::Records(records.into_iter()),
        };
        Ok(Reader { name: self.name, rows, read: 0 })
    }
}

/// An open source.
pub(super) struct Reader {
    name: String,
    rows: Rows,
    read: u64,
}

enum Rows {
    FirstAuthy(Box<first_authy::Reader>),
    File(file::FileReader),
    Records(vec::IntoIter<ImportRecord>),
}

impl Reader {
    /// Returns a report, with what was found out when the source was opened.
    pub(super) fn begin_report(&mut self, is_dry_run: bool) -> ImportReport {
        let mut report = ImportReport { source: self.name.clone(), is_dry_run, ..ImportReport::default() };
        if let Rows::FirstAuthy(reader) = &mut self.rows {
            report.app_time_zone = Some(reader.app_time_zone.clone());
            report.database_time_zone = Some(reader.database_time_zone.clone());
            for (user, role) in reader.orphans.drain(..) {
                let message = format!("the membership in role {role} has no user or no role: it is left out");
                report.note(ImportNoteKind::MembershipWithoutRow, &user, message);
            }
            let counted = report.counts.get(&ImportNoteKind::MembershipWithoutRow).copied().unwrap_or_default();
            report.count(ImportNoteKind::MembershipWithoutRow, reader.all_orphans.saturating_sub(counted));
        }
        report
    }

    /// Returns the roles that the source describes.
    pub(super) fn roles(&mut self) -> Vec<SourceRole> {
        match &mut self.rows {
            Rows::FirstAuthy(reader) => std::mem::take(&mut reader.roles),
            Rows::File(_) | Rows::Records(_) => Vec::new(),
        }
    }

    /// Returns the number of rows, where it is known.
    pub(super) fn total(&self) -> Option<u64> {
        match &self.rows {
            Rows::FirstAuthy(reader) => Some(reader.total),
            Rows::File(reader) => reader.total(),
            Rows::Records(records) => u64::try_from(records.len()).ok(),
        }
    }

    /// Returns whether it is the first authy. Other services know its users by their public IDs, so that none may get a new one,
    /// and an export writes into its database.
    pub(super) fn is_first_authy(&self) -> bool {
        matches!(self.rows, Rows::FirstAuthy(_))
    }

    /// Returns whether users who have a name log in there with it or with their address.
    pub(super) fn accepts_addresses(&self) -> bool {
        matches!(&self.rows, Rows::File(reader) if reader.accepts_addresses())
    }

    /// Returns the next rows; none at the end.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Vec<SourceRow>> {
        let rows = match &mut self.rows {
            Rows::FirstAuthy(reader) => reader.next(limit).await?,
            Rows::File(reader) => reader.next(limit).await?,
            Rows::Records(records) => {
                let row = |(record, number): (ImportRecord, u64)| SourceRow {
                    place: record.id.clone().unwrap_or_else(|| format!("record {number}")),
                    record: Ok(record),
                };
                records.take(limit).zip(self.read + 1..).map(row).collect()
            }
        };
        self.read += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        Ok(rows)
    }
}
