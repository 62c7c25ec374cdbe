//! Levels: the power of a role, and of the users who have it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A level. A *smaller* level is *more* powerful.
///
/// A new role, and what a check requires, has a level from 0 to 99999: `FromStr`, `TryFrom` and the fields of requests
/// check that. A role that came from an earlier system may have any other, and is shown and compared with it: −5 is more
/// powerful than 0, and a level over 99999 passes no check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Level(i32);

impl Level {
    /// The largest level that a new role can have.
    pub const MAX: u32 = 99_999;

    /// Returns the level with this number, or the largest level when the number is larger.
    pub const fn clamped(level: u32) -> Self {
        if level > Self::MAX { Self(Self::MAX.cast_signed()) } else { Self(level.cast_signed()) }
    }

    /// Creates the level without checking it, because it was stored under the rules of its time. It is never brought
    /// into the range: that could make a user more powerful, or another user powerful enough to act on this one.
    #[cfg(feature = "engine")]
    pub(crate) const fn stored(level: i32) -> Self {
        Self(level)
    }

    /// Returns the number.
    pub fn get(self) -> i32 {
        self.0
    }

    /// Returns whether this level is as powerful as `other`, or more powerful.
    pub fn at_least(self, other: Level) -> bool {
        self.0 <= other.0
    }
}

impl TryFrom<u32> for Level {
    type Error = Invalid;

    fn try_from(level: u32) -> Result<Self, Invalid> {
        match level {
            0..=Self::MAX => Ok(Self(level.cast_signed())),
            _ => Err(Invalid::new("invalid_level", "must be a whole number from 0 to 99999")),
        }
    }
}

impl From<Level> for i32 {
    fn from(level: Level) -> i32 {
        level.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Level {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // Digits only: the standard parser accepts "+5".
        let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        Level::try_from(number.unwrap_or(u32::MAX))
    }
}

described!(
    Level,
    { "type": "integer", "minimum": 0, "maximum": 99999, "examples": [7] },
    stored { "type": "integer", "format": "int32", "examples": [7] }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_digits_within_its_range() {
        for wrong in ["", "-1", "+1", "1.0", "100000", "99999999999999999999", "٣", " 1", "0x1"] {
            assert!(wrong.parse::<Level>().is_err(), "{wrong:?}");
        }
        assert_eq!("99999".parse(), Ok(Level(99_999)));
    }

    #[test]
    fn a_level_from_before_the_rule_is_as_powerful_as_it_says() {
        let [beyond, top, most, below] = [-5, 0, 99_999, 100_000].map(|level| {
            let read: Level = serde_json::from_str(&level.to_string()).unwrap();
            assert_eq!(
                (serde_json::to_string(&read).unwrap(), read.to_string()),
                (level.to_string(), level.to_string())
            );
            read
        });
        assert!(beyond.at_least(top) && !top.at_least(beyond));
        assert!(most.at_least(Level::clamped(Level::MAX)) && !below.at_least(Level::clamped(u32::MAX)));
        assert!(serde_json::from_str::<Level>("2147483648").is_err() && serde_json::from_str::<Level>("1.5").is_err());
    }
}
