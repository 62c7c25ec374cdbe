//! Notes of the report of an import or an export.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// Maximum number of notes of a kind about which nobody has to do anything. All are counted.
const FEW: u64 = 10_000;

/// Maximum number of notes of any other kind: the users who are left out, who need a new password, or who log in in another
/// way have to be told, each of them. It bounds the memory, of some 200 bytes a note.
const MANY: u64 = 1_000_000;

/// The kind of a note.
pub(super) trait NoteKind: Copy + Ord {
    /// Returns whether the report lists the first 10,000 notes of this kind only.
    fn is_abridged(self) -> bool;

    /// Returns the maximum number of notes of this kind in a report.
    fn max_notes(self) -> u64 {
        if self.is_abridged() { FEW } else { MANY }
    }
}

/// A note about a user or a role: what is unusual, and what is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note<K> {
    /// The kind.
    pub kind: K,
    /// What it is about: for an import the ID of the user in the source or, where it has none, the
    /// place of the row or the name; for an export the public ID, or the name of a role.
    pub row: String,
    /// What is done, for people.
    pub message: String,
}

impl<K: fmt::Display> fmt::Display for Note<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.row, self.message)
    }
}

/// Counts a note, and adds it unless there are very many of its kind.
pub(super) fn add<K: NoteKind>(
    (counts, notes): (&mut BTreeMap<K, u64>, &mut Vec<Note<K>>),
    kind: K,
    row: &impl ToString,
    message: impl Into<String>,
) {
    let count = counts.entry(kind).or_default();
    *count += 1;
    if *count <= kind.max_notes() {
        notes.push(Note { kind, row: row.to_string(), message: message.into() });
    }
}

/// Adds the notes of a part of the work, and what was counted in it.
pub(super) fn append<K: NoteKind>(
    (counts, notes): (&mut BTreeMap<K, u64>, &mut Vec<Note<K>>),
    more_counts: BTreeMap<K, u64>,
    more_notes: Vec<Note<K>>,
) {
    // Of each kind, there are as many notes as were counted, up to the maximum.
    let mut room: BTreeMap<K, u64> = BTreeMap::new();
    for (kind, more) in more_counts {
        let count = counts.entry(kind).or_default();
        room.insert(kind, kind.max_notes().saturating_sub(*count));
        *count += more;
    }
    notes.extend(more_notes.into_iter().filter(|note| match room.get_mut(&note.kind) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }));
}

/// Declares the kinds of notes of a report, each with its name in JSON and whether it is a refusal. Of those that are
/// `abridged`, the report lists the first 10,000.
macro_rules! note_kinds {
    (
        $(#[doc = $kind_doc:literal])+ $kinds:ident;
        $(#[doc = $refusal_doc:literal])+ is_refusal;
        $($(#[doc = $doc:literal])+ $name:ident $text:literal $is_refusal:literal $($abridged:ident)?;)+
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

        impl $crate::engine::domain::note::NoteKind for $kinds {
            fn is_abridged(self) -> bool {
                match self { $(Self::$name => note_kinds!(@ $($abridged)?),)+ }
            }
        }

        impl std::fmt::Display for $kinds {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
    (@ abridged) => { true };
    (@) => { false };
}

pub(super) use note_kinds;
