//! Page numbers and page sizes of lists.

use super::Field;
use crate::Invalid;

macro_rules! bounded {
    ($($(#[doc = $doc:literal])+ $name:ident $range:expr, $code:literal $message:literal, $schema:tt)+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(u32);

        impl $name {
            /// Creates the value.
            ///
            /// # Errors
            /// When the number is out of bounds.
            pub fn new(number: u32) -> Result<Self, Invalid> {
                if $range.contains(&number) { Ok(Self(number)) } else { Err(Invalid::new($code, $message)) }
            }

            /// Returns the number.
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
    /// The number of a page, starting with 1.
    PageNumber 1..=1_000_000_000, "invalid_page" "must be a whole number from 1",
        { "type": "integer", "minimum": 1, "maximum": 1_000_000_000 }
    /// The number of entries per page.
    PageSize 1..=PageSize::MAX.0, "invalid_per_page" "must be a whole number from 1 to 100",
        { "type": "integer", "minimum": 1, "maximum": 100, "default": 20 }
}

impl PageNumber {
    /// The first page, which is also the default.
    pub const FIRST: Self = Self(1);
}

impl PageSize {
    /// The default size. It fits on a screen.
    pub const DEFAULT: Self = Self(20);

    /// The largest size.
    pub const MAX: Self = Self(100);
}
