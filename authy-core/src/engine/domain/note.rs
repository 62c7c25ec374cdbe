//! Notes of the report of an import or an export.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// Maximum number of notes in a report. All are counted; a million of them would be of no use to anybody.
const MAX_NOTES: usize = 10_000;

/// A note about a user or a role: what is unusual, and what is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note<K> {
    /// The kind.
    pub kind: K,
    /// What it is about: for an import the ID of the user in the source, for an export the public ID, or the name of a role.
    pub row: String,
    /// What is done, for people.
    pub message: String,
}

impl<K: fmt::Display> fmt::Display for Note<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.row, self.message)
    }
}

/// Counts a note, and adds it unless there are very many.
pub(super) fn add<K: Copy + Ord>(
    (counts, notes): (&mut BTreeMap<K, u64>, &mut Vec<Note<K>>),
    kind: K,
    row: &impl ToString,
    message: impl Into<String>,
) {
    *counts.entry(kind).or_default() += 1;
    if notes.len() < MAX_NOTES {
        notes.push(Note { kind, row: row.to_string(), message: message.into() });
    }
}

/// Adds the notes of a part of the work, and what was counted in it.
pub(super) fn append<K: Ord>(
    (counts, notes): (&mut BTreeMap<K, u64>, &mut Vec<Note<K>>),
    more_counts: BTreeMap<K, u64>,
    more_notes: Vec<Note<K>>,
) {
    for (kind, count) in more_counts {
        *counts.entry(kind).or_default() += count;
    }
    let room = MAX_NOTES.saturating_sub(notes.len());
    notes.extend(more_notes.into_iter().take(room));
}

/// Declares the kinds of notes of a report, each with its name in JSON and whether it is a refusal.
macro_rules! note_kinds {
    (
        $(#[doc = $kind_doc:literal])+ $kinds:ident;
        $(#[doc = $refusal_doc:literal])+ is_refusal;
        $($(#[doc = $doc:literal])+ $name:ident $text:literal $is_refusal:literal;)+
    ) => {
        $(#[doc = $kind_doc])+
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $kinds { $($(#[doc = $doc])+ $name,)+ }

        impl $kinds {
            /// Returns the name, as in the JSON report.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            $(#[doc = $refusal_doc])+
            pub fn is_refusal(self) -> bool {
                match self { $(Self::$name => $is_refusal,)+ }
            }
        }

        impl std::fmt::Display for $kinds {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use note_kinds;
