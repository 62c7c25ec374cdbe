//! The identifiers of users, sessions and events: UUIDs (RFC 9562) in one spelling.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Invalid;

macro_rules! identifiers {
    ($($(#[doc = $doc:literal])+ $name:ident $example:literal)+) => { $(
        $(#[doc = $doc])+
        ///
        /// Its text form is lower case with dashes. Parsing refuses any other spelling.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// Returns a new random identifier.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// Returns the identifier as a UUID.
            pub fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                match Uuid::try_parse(text) {
                    Ok(uuid) if uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text => Ok(Self(uuid)),
                    _ => Err(Invalid::new("invalid_uuid", "must be a UUID in lower case with dashes")),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        described!($name, { "type": "string", "format": "uuid", "examples": [$example] });
    )+ };
}

identifiers! {
    /// The public identifier of a user.
    UserId "0b7c3b1e-6d5c-4a43-9d6b-0f3d2a4f8e10"
    /// The identifier of a session: one login and the chain of tokens that came from it.
    SessionId "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    /// The identifier of an event.
    EventId "01976c2d-8f0b-7d41-a5a4-0d7b3a1f6c55"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_is_an_identifier() {
        let id = UserId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        for other in [id.to_string().to_uppercase(), id.as_uuid().simple().to_string(), format!("{{{id}}}"), "1".into()]
        {
            assert!(other.parse::<UserId>().is_err(), "{other}");
        }
    }
}
