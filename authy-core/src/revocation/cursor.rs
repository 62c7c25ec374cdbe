//! The position of a client that follows the revocations.

use std::{fmt, str::FromStr};

use crate::Invalid;

/// A position in the revocations: the PostgreSQL cluster, its timeline, and a transaction ID.
///
/// Transaction IDs start again after a restore into a new cluster, and they are reused after a failover to a standby
/// that was behind. A cursor of another cluster or timeline therefore means "from the beginning". So does a cursor of
/// an earlier version, which contains no timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    pub(crate) cluster: u64,
    pub(crate) timeline: u32,
    pub(crate) xmin: u64,
}

/// Marks a cursor without a timeline. PostgreSQL numbers timelines from 1.
const NO_TIMELINE: u32 = 0;

impl Cursor {
    /// Returns whether transaction IDs are not comparable with those of an earlier cursor: this cursor is of another
    /// cluster (for example, restored from a dump) or timeline, or has a smaller ID. A restore to an earlier time
    /// causes that, and so does a crash without any loss: PostgreSQL gives out again the IDs of transactions that were rolled
    /// back or never written.
    #[cfg(any(feature = "engine", test))]
    pub(crate) fn is_elsewhere(&self, earlier: &Cursor) -> bool {
        (self.cluster, self.timeline) != (earlier.cluster, earlier.timeline) || self.xmin < earlier.xmin
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timeline {
            // Written as it was read. Otherwise the server would refuse the cursor, and the client could never
            // continue.
            NO_TIMELINE => write!(f, "{}-{}", self.cluster, self.xmin),
            timeline => write!(f, "{}-{timeline}-{}", self.cluster, self.xmin),
        }
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let numbers = text.split('-').map(|text| text.parse::<u64>().ok().filter(|number| number.to_string() == text));
        let numbers: Option<Vec<u64>> = numbers.collect();
        let timeline = |number: u64| u32::try_from(number).ok().filter(|number| *number != NO_TIMELINE);
        let cursor = match numbers.as_deref() {
            Some(&[cluster, number, xmin]) => timeline(number).map(|timeline| Self { cluster, timeline, xmin }),
            Some(&[cluster, _]) => Some(Self { cluster, timeline: NO_TIMELINE, xmin: 0 }),
            _ => None,
        };
        cursor.ok_or(Invalid::new("invalid_cursor", "must be the cursor of an earlier response"))
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

described!(Cursor, {
    "type": "string", "pattern": "^[0-9]+(-[0-9]+)?-[0-9]+$", "examples": ["7312345678901234567-1-4711"],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_spelling() {
        let cursor = Cursor { cluster: 7_312_345_678_901_234_567, timeline: 3, xmin: 4711 };
        assert_eq!(cursor.to_string(), "7312345678901234567-3-4711");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "1-2-",
            "1-+2",
            "1-02",
            "1-2-03",
            "1-0-3",
            "1-2-3-4",
            "1-2'; DROP TABLE",
            "1-99999999999999999999",
            "1-4294967296-3",
        ] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_cluster_another_timeline_and_a_step_back_are_elsewhere() {
        let cursor = Cursor { cluster: 1, timeline: 1, xmin: 700 };
        assert!(!Cursor { xmin: 701, ..cursor }.is_elsewhere(&cursor));
        assert!(!cursor.is_elsewhere(&cursor));
        for other in [
            Cursor { cluster: 2, ..cursor },
            Cursor { timeline: 2, xmin: 900, ..cursor },
            Cursor { xmin: 699, ..cursor },
        ] {
            assert!(other.is_elsewhere(&cursor), "{other}");
        }
        // As an earlier version wrote it.
        let old: Cursor = "1-700".parse().unwrap();
        assert!(cursor.is_elsewhere(&old));
        assert_eq!(old.to_string().parse(), Ok(old));
    }
}
