//! The names that people choose. Input is checked by `FromStr`, which also parses the fields of requests. A stored name is not
//! checked again, because a rule may be newer than the name; nor is a name in JSON, a response or a token.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use crate::api::{Field, Invalid, PathParam};

mod address;
pub(crate) mod identifier;

pub use address::AddrSpec;
use identifier::identifier;

macro_rules! checked_text {
    ($($(#[doc = $doc:literal])+ $name:ident, $schema:tt)+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as it is shown.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Stored for $name {
            fn stored(text: String) -> Self {
                Self(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                // What is stored is shown, whatever today's rule says of it; but PostgreSQL stores no NUL, so this was never
                // stored.
                match text.contains('\0') {
                    true => Err(serde::de::Error::custom("a NUL is in no stored text")),
                    false => Ok(Self::stored(text)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl Field for $name {
            fn from_text(text: &str) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        described!($name, $schema);
    )+ };
}

/// What can have been stored under an earlier rule.
pub(crate) trait Stored {
    /// A value as it is stored, whatever today's rule says of it.
    fn stored(text: String) -> Self;
}

checked_text! {
    /// A username: 3 to 50 characters, letters and digits of any script plus `._-`.
    ///
    /// It is kept in Unicode's compatibility form (NFKC) and compared by [`key`](Username::key), so that two names which
    /// look the same are the same. Scripts that no language mixes are not mixed in it (UTS 39, "highly restrictive"), and joiners
    /// (U+200C, U+200D) stand only where they change how letters are joined.
    Username, { "type": "string", "minLength": 3, "maxLength": 50 }
    /// An email address of 5 to 100 characters, compared by [`key`](Email::key): a local part without quotes and a domain name.
    Email, { "type": "string", "format": "email", "minLength": 5, "maxLength": 100 }
    /// A role's name: 3 to 50 characters, letters and digits of any script plus `._-`.
    RoleName, { "type": "string", "minLength": 3, "maxLength": 50 }
    /// A role's description: 5 to 100 characters on one line.
    Description, { "type": "string", "minLength": 5, "maxLength": 100 }
}

macro_rules! identifiers {
    ($($name:ident $code:literal)+) => { $(
        impl $name {
            /// Returns the form that is compared: without joiners, case-folded, in NFKC.
            pub fn key(&self) -> String {
                identifier::key(&self.0)
            }

            /// Parses a name to search for, which may have been stored under an earlier rule.
            ///
            /// # Errors
            /// When it is longer than 255 bytes or has control characters: no stored name is.
            pub fn existing(text: &str) -> Result<Self, Invalid> {
                match text.is_empty() || text.len() > 255 || text.contains(char::is_control) {
                    true => Err(Invalid::new($code, "cannot be a name")),
                    false => Ok(Self(text.to_owned())),
                }
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                identifier(text).map(Self).map_err(|message| Invalid::new($code, message))
            }
        }

        impl PathParam for $name {
            fn from_segment(text: &str) -> Result<Self, Invalid> {
                Self::existing(text)
            }
        }
    )+ };
}

identifiers! {
    Username "invalid_username"
    RoleName "invalid_role_name"
}

impl FromStr for Description {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |message| Invalid::new("invalid_description", message);
        if !(5..=100).contains(&text.chars().count()) {
            return Err(invalid("must have 5 to 100 characters"));
        }
        match text.chars().any(char::is_control) {
            true => Err(invalid("must not contain control characters")),
            false => Ok(Self(text.to_owned())),
        }
    }
}

/// How powerful a role is, 0 to 99999: a *smaller* level is *more* power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Level(u32);

impl Level {
    /// The least power there is.
    pub const MAX: u32 = 99_999;

    /// That level, or the least power when there is no such level.
    pub const fn clamped(level: u32) -> Self {
        if level > Self::MAX { Self(Self::MAX) } else { Self(level) }
    }

    /// The level as a number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// Whether this level is as powerful as `other`, or more.
    pub fn reaches(self, other: Level) -> bool {
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
        // Digits only: the standard parser would let a "+5" pass.
        let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        Level::try_from(number.unwrap_or(u32::MAX))
    }
}

impl Field for Level {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }

    fn from_json(value: serde_json::Value) -> Result<Self, Invalid> {
        Level::try_from(value.as_u64().and_then(|level| u32::try_from(level).ok()).unwrap_or(u32::MAX))
    }
}

impl PathParam for Level {
    // A level is a number somebody chose, not the name of a thing: a wrong one is a mistake in the request.
    const WRONG_IS_NOT_FOUND: bool = false;
}

described!(Level, { "type": "integer", "minimum": 0, "maximum": 99999 });

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
