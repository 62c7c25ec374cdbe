//! Levels: the power of a role, and of the users who have it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A level from 0 to 99999. A *smaller* level is *more* powerful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Level(u32);

impl Level {
    /// The largest level, which is the least powerful.
    pub const MAX: u32 = 99_999;

    /// Returns the level with this number, or the largest level when the number is larger.
    pub const fn clamped(level: u32) -> Self {
        if level > Self::MAX { Self(Self::MAX) } else { Self(level) }
    }

    /// Returns the number.
    pub fn get(self) -> u32 {
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
            0..=Self::MAX => Ok(Self(level)),
            _ => Err(Invalid::new("invalid_level", "must be a whole number from 0 to 99999")),
        }
    }
}

impl From<Level> for u32 {
    fn from(level: Level) -> u32 {
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

described!(Level, { "type": "integer", "minimum": 0, "maximum": 99999, "examples": [7] });

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
}
