//! The pages of lists: numbers, sizes, and positions.

use super::Field;
use crate::{ErrorKind, Invalid, error::FieldError};

pub(crate) mod cursor;

pub use cursor::ListCursor;

/// The number of a page, starting with 1, at most 100. Further pages are reached by the links from page to page, because
/// the database would have to skip all users before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct PageNumber(u32);

/// The number of entries per page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct PageSize(u32);

impl PageNumber {
    /// The first page, which is also the default.
    pub const FIRST: Self = Self(1);

    /// The last page that has a number.
    pub const MAX: Self = Self(100);

    /// Creates the value.
    ///
    /// # Errors
    /// When the number is 0 or more than 100.
    pub fn new(number: u32) -> Result<Self, Invalid> {
        match number {
            0 => Err(Invalid::new("invalid_page", "must be a whole number from 1 to 100")),
            number if number <= Self::MAX.0 => Ok(Self(number)),
            _ => Err(page_too_far()),
        }
    }

    /// Returns the number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl PageSize {
    /// The default size. It fits on a screen.
    pub const DEFAULT: Self = Self(20);

    /// The largest size.
    pub const MAX: Self = Self(100);

    /// Creates the value.
    ///
    /// # Errors
    /// When the number is 0 or more than 100.
    pub fn new(number: u32) -> Result<Self, Invalid> {
        match (1..=Self::MAX.0).contains(&number) {
            true => Ok(Self(number)),
            false => Err(Invalid::new("invalid_per_page", "must be a whole number from 1 to 100")),
        }
    }

    /// Returns the number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Field for PageNumber {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        // A number that is too large for the type is too far, too.
        digits(text).and_then(|number| Self::new(number.unwrap_or(u32::MAX)))
    }
}

impl Field for PageSize {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        Self::new(digits(text).ok().flatten().unwrap_or_default())
    }
}

/// Returns a number in digits; `None` when it is too large for the type.
fn digits(text: &str) -> Result<Option<u32>, Invalid> {
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.parse().ok()),
        false => PageNumber::new(0).map(|_| None),
    }
}

/// Returns why a page is refused whose number is too large, and how to get there.
fn page_too_far() -> Invalid {
    Invalid::new(
        ErrorKind::PageTooFar.code(),
        "is too far: only the first 100 pages have a number. Follow `next_url` from page to page, or send its `after` instead",
    )
}

/// Returns why a page is refused before which too many users would have to be examined.
#[cfg(feature = "engine")]
pub(crate) fn page_beyond_examined() -> Invalid {
    Invalid::new(
        ErrorKind::PageTooFar.code(),
        "is too far: these filters select few of very many users. Follow `next_url` from page to page, or send its `after` instead",
    )
}

/// Returns the error of a request with a page number and a position.
pub(super) fn either(page: Option<&Option<PageNumber>>, after: Option<&Option<ListCursor>>) -> Option<FieldError> {
    let both = page?.is_some() && after?.is_some();
    both.then(|| Invalid::new("conflicting_fields", "must not be sent together with `after`").of("page"))
}

described!(PageNumber, { "type": "integer", "minimum": 1, "maximum": 100 });
described!(PageSize, { "type": "integer", "minimum": 1, "maximum": 100, "default": 20 });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_number_up_to_100_and_a_number_beyond_is_too_far() {
        for (text, expected) in [("1", 1), ("100", 100), ("0100", 100)] {
            assert_eq!(PageNumber::from_text(text).map(PageNumber::get), Ok(expected));
        }
        for (text, code) in [
            ("0", "invalid_page"),
            ("", "invalid_page"),
            ("-1", "invalid_page"),
            ("1.5", "invalid_page"),
            ("101", "page_too_far"),
            ("99999999999999999999", "page_too_far"),
        ] {
            assert_eq!(PageNumber::from_text(text).unwrap_err().code(), code, "{text}");
        }
        for text in ["0", "101", "", "x", "99999999999999999999"] {
            assert_eq!(PageSize::from_text(text).unwrap_err().code(), "invalid_per_page", "{text}");
        }
    }
}
