//! Pages of a list: which one, and how long it is.

use super::Field;
use crate::Invalid;

macro_rules! bounded {
    ($($(#[doc = $doc:literal])+ $name:ident $range:expr, $code:literal $message:literal, $schema:tt)+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(u32);

        impl $name {
            /// That number.
            ///
            /// # Errors
            /// When it is out of bounds.
            pub fn new(number: u32) -> Result<Self, Invalid> {
                if $range.contains(&number) { Ok(Self(number)) } else { Err(Invalid::new($code, $message)) }
            }

            /// The number.
            pub fn get(self) -> u32 {
                self.0
            }
        }

        impl Field for $name {
            fn from_text(text: &str) -> Result<Self, Invalid> {
                let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
                number.ok_or(Invalid::new($code, $message)).and_then(Self::new)
            }
        }

        described!($name, $schema);
    )+ };
}

bounded! {
    /// The number of a page, from 1.
    PageNumber 1..=1_000_000_000, "invalid_page" "must be a whole number from 1",
        { "type": "integer", "minimum": 1, "maximum": 1_000_000_000 }
    /// How many entries a page has.
    PageSize 1..=100, "invalid_per_page" "must be a whole number from 1 to 100",
        { "type": "integer", "minimum": 1, "maximum": 100 }
}

impl PageNumber {
    /// The first page, which is also the one that is meant when none is named.
    pub const FIRST: Self = Self(1);
}

impl PageSize {
    /// The size that is meant when none is named: what fits on a screen.
    pub const DEFAULT: Self = Self(20);
}
