//! Where somebody who follows revocations is.

use std::{fmt, str::FromStr};

use crate::api::{Field, Invalid};

/// Where a follower is: in which cluster of PostgreSQL, and at which transaction. After a restore into a new cluster,
/// transactions are counted anew, so a cursor of another cluster means "from the beginning".
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    pub(crate) cluster: u64,
    pub(crate) xmin: u64,
}

impl Cursor {
    /// Whether transactions are not counted any more as they were at an earlier cursor: in another cluster, from a dump say, or
    /// after a failover or a restore that went back in time, which nothing else does.
    pub(crate) fn is_elsewhere(&self, earlier: &Cursor) -> bool {
        self.cluster != earlier.cluster || self.xmin < earlier.xmin
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.cluster, self.xmin)
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = |text: &str| text.parse::<u64>().ok().filter(|number| number.to_string() == text);
        let cursor =
            text.split_once('-').and_then(|(cluster, xmin)| Some(Self { cluster: read(cluster)?, xmin: read(xmin)? }));
        cursor.ok_or(Invalid::new("invalid_cursor", "must be a cursor that came with an answer"))
    }
}

impl TryFrom<String> for Cursor {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> String {
        cursor.to_string()
    }
}

impl Field for Cursor {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }
}

described!(Cursor, { "type": "string", "pattern": "^[0-9]+-[0-9]+$" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_spelling() {
        let cursor = Cursor { cluster: 7_312_345_678_901_234_567, xmin: 4711 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "-", "1", "1-", "-1", "1-+2", "1-02", "1-2-3", "1-2'; DROP TABLE", "1-99999999999999999999"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
