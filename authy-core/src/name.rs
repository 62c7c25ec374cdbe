//! Names that people choose. `FromStr` checks input, including the fields of requests. Values from the database, from
//! JSON responses and from tokens are not checked again, because they may have been stored before a rule existed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use crate::Invalid;

mod address;
pub(crate) mod identifier;

pub use address::AddrSpec;
#[cfg(feature = "engine")]
pub(crate) use address::search_key;

macro_rules! checked_text {
    ($($(#[doc = $doc:literal])+ $name:ident, $schema:tt, stored $stored:tt)+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the name as it is displayed.
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
                // A stored value is returned even when the current rules do not permit it. PostgreSQL stores no NUL, so
                // a value with a NUL was never stored.
                match text.contains('\0') {
                    true => Err(serde::de::Error::custom("stored text contains no NUL")),
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

        described!($name, $schema, stored $stored);
    )+ };
}

/// Types of stored values, which may not meet the current rules.
pub(crate) trait Stored {
    /// Creates the value without checking it, because it was stored under the rules of its time.
    fn stored(text: String) -> Self;
}

checked_text! {
    /// A username: 3 to 50 characters, letters and digits of any script plus `._-`.
    ///
    /// It is stored in Unicode's compatibility form (NFKC) and compared by [`key`](Username::key), so that two names
    /// that look the same are equal. It does not mix scripts that no language mixes (UTS 39, "highly restrictive").
    /// Joiners (U+200C, U+200D) are accepted only where they change how letters are joined.
    Username,
    { "type": "string", "minLength": 3, "maxLength": 50, "examples": ["ada"] },
    stored { "type": "string", "examples": ["ada"] }
    /// An email address of 5 to 100 characters, compared by [`key`](Email::key): a local part without quotes and a
    /// domain name.
    Email,
    { "type": "string", "format": "email", "minLength": 5, "maxLength": 100, "examples": ["ada@example.org"] },
    stored { "type": "string", "examples": ["ada@example.org"] }
    /// A role's name: 3 to 50 characters, letters and digits of any script plus `._-`, and single spaces inside.
    RoleName,
    { "type": "string", "minLength": 3, "maxLength": 50, "examples": ["auctioneer"] },
    stored { "type": "string", "examples": ["auctioneer"] }
    /// A role's description: 5 to 100 characters on one line.
    Description,
    { "type": "string", "minLength": 5, "maxLength": 100, "examples": ["Opens and closes auctions"] },
    stored { "type": "string", "examples": ["Opens and closes auctions"] }
}

macro_rules! identifiers {
    ($($name:ident $code:literal $parse:path)+) => { $(
        impl $name {
            /// Returns the form used for comparison: without joiners, case-folded, in NFKC.
            pub fn key(&self) -> String {
                identifier::key(&self.0)
            }

            /// Parses a name for a search. It may have been stored under earlier rules.
            ///
            /// # Errors
            /// When it is empty, has more than 255 bytes or contains a NUL: no stored name does.
            pub fn existing(text: &str) -> Result<Self, Invalid> {
                match text.is_empty() || text.len() > 255 || text.contains('\0') {
                    true => Err(Invalid::new($code, "cannot be a name")),
                    false => Ok(Self(text.to_owned())),
                }
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                $parse(text).map(Self).map_err(|message| Invalid::new($code, message))
            }
        }
    )+ };
}

identifiers! {
    Username "invalid_username" identifier::word
    RoleName "invalid_role_name" identifier::words
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
