//! Positions in a list of users.

use std::{fmt, str::FromStr};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Invalid, api::Field};

/// A position in a list of users, from which a page is listed: the `after` in the links between pages.
///
/// Its text is opaque. It belongs to one list with certain filters, and is refused with others. It remains valid when
/// the user at the position is deleted, and grants nothing: its bearer still needs the power to list users.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListCursor {
    /// Over the list, its filters, and the other fields.
    pub(crate) check: [u8; CHECK_BYTES],
    /// Whether the page ends before the position, instead of beginning behind it.
    pub(crate) is_backward: bool,
    /// `None` is the start of the list or, backward, its end.
    pub(crate) position: Option<ListPosition>,
}

/// The position of a user in a list: what the list is ordered by, and the user's ID, which decides between equal ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListPosition {
    pub(crate) key: PositionKey,
    pub(crate) id: Uuid,
}

/// What a list is ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PositionKey {
    /// A time, in microseconds since 1970.
    Time(i64),
    /// A name or an address, in the form in which they are compared.
    Text(String),
}

pub(crate) const CHECK_BYTES: usize = 8;

/// The version of the format, so that a later one can be told from this one.
const VERSION: u8 = 1;

/// Maximum number of characters of a cursor. A name or an address has at most 2,704 bytes, because an index contains it.
const MAX_CHARS: usize = 4000;

const BACKWARD: u8 = 1;
const TIME: u8 = 2;
const TEXT: u8 = 4;

impl ListCursor {
    /// Returns the bytes behind the version and the check.
    pub(crate) fn body(&self) -> Vec<u8> {
        let direction = if self.is_backward { BACKWARD } else { 0 };
        let Some(ListPosition { key, id }) = &self.position else { return vec![direction] };
        let (kind, key): (u8, &[u8]) = match key {
            PositionKey::Time(micros) => (TIME, &micros.to_be_bytes()),
            PositionKey::Text(text) => (TEXT, text.as_bytes()),
        };
        [&[direction | kind], id.as_bytes().as_slice(), key].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[version], rest) = bytes.split_first_chunk::<1>()?;
        let (check, rest) = rest.split_first_chunk::<CHECK_BYTES>()?;
        let (&[flags], rest) = rest.split_first_chunk::<1>()?;
        let position = match flags & !BACKWARD {
            0 if rest.is_empty() => None,
            kind @ (TIME | TEXT) => {
                let (id, key) = rest.split_first_chunk::<16>()?;
                let key = match kind {
                    TIME => PositionKey::Time(i64::from_be_bytes(key.try_into().ok()?)),
                    // PostgreSQL's text contains no NUL.
                    _ => PositionKey::Text(str::from_utf8(key).ok().filter(|text| !text.contains('\0'))?.to_owned()),
                };
                Some(ListPosition { key, id: Uuid::from_bytes(*id) })
            }
            _ => return None,
        };
        let is_backward = flags & BACKWARD != 0;
        (version == VERSION).then_some(Self { check: *check, is_backward, position })
    }
}

/// Returns why a cursor is refused: by its form here, or because it belongs to another list.
pub(crate) fn invalid_cursor() -> Invalid {
    Invalid::new(
        "invalid_cursor",
        "must be the `after` of a link to another page (`next_url`, `prev_url`), with the same filters",
    )
}

impl fmt::Display for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[VERSION], self.check.as_slice(), &self.body()].concat();
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Without the name or address that it contains.
impl fmt::Debug for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListCursor").field("is_backward", &self.is_backward).finish_non_exhaustive()
    }
}

impl FromStr for ListCursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = Some(text).filter(|text| text.len() <= MAX_CHARS);
        let bytes = text.and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        bytes.and_then(|bytes| Self::from_bytes(&bytes)).ok_or_else(invalid_cursor)
    }
}

impl TryFrom<String> for ListCursor {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ListCursor> for String {
    fn from(cursor: ListCursor) -> String {
        cursor.to_string()
    }
}

impl Field for ListCursor {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }
}

described!(ListCursor, {
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]{14,4000}$",
    "examples": ["AcC7FyRyZQ1JAgAAAAAAAEAAgAAAAAAAAAAABY6MZxnh-g"],
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = PositionKey> {
        prop_oneof![any::<i64>().prop_map(PositionKey::Time), "[^\\x00]{0,100}".prop_map(PositionKey::Text)]
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(
            check in any::<[u8; 8]>(), is_backward in any::<bool>(), position in prop::option::of((key(), any::<u128>())),
        ) {
            let position = position.map(|(key, id)| ListPosition { key, id: Uuid::from_u128(id) });
            let cursor = ListCursor { check, is_backward, position };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn any_text_is_a_cursor_with_one_spelling_or_none(text in "\\PC*|AQ[A-Za-z0-9_-]{0,80}") {
            if let Ok(cursor) = text.parse::<ListCursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn a_cursor_of_another_version_or_with_a_part_missing_is_refused() {
        let position = ListPosition { key: PositionKey::Time(7), id: Uuid::nil() };
        let cursor = ListCursor { check: [3; 8], is_backward: true, position: Some(position) };
        let text = cursor.to_string();
        assert!(text.parse::<ListCursor>().is_ok());
        for wrong in [&text[1..], &text[..text.len() - 1], &format!("{text}="), &text.replacen("AQ", "Ag", 1), ""] {
            assert!(wrong.parse::<ListCursor>().is_err(), "{wrong}");
        }
        assert!("A".repeat(5000).parse::<ListCursor>().is_err());
        assert!(!format!("{cursor:?}").contains("position"), "it is not written to logs");
    }
}
