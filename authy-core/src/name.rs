//! The names people choose, checked at the door: a value of these types cannot be wrong.

use std::{borrow::Cow, fmt, str::FromStr};

use email_address::{EmailAddress, Options};
use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointSetData,
    props::{DefaultIgnorableCodePoint, EnumeratedProperty as _, GeneralCategory, GeneralCategoryGroup},
};
use serde::{Deserialize, Serialize};

use crate::api::{Field, Invalid, PathParam};

macro_rules! checked_text {
    ($($(#[doc = $doc:literal])+ $name:ident, $schema:tt)+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as it is shown.
            pub fn as_str(&self) -> &str {
                &self.0
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

checked_text! {
    /// A username: 3 to 50 characters, letters and digits of any script plus `._-`.
    ///
    /// It is kept in Unicode's compatibility form (NFKC) and compared by [`key`](Username::key), so that two names which
    /// look the same are the same.
    Username, { "type": "string", "minLength": 3, "maxLength": 50 }
    /// An email address of 5 to 100 characters, compared by [`key`](Email::key).
    Email, { "type": "string", "format": "email", "minLength": 5, "maxLength": 100 }
    /// A role's name: 3 to 50 characters, letters and digits of any script plus `._-`.
    RoleName, { "type": "string", "minLength": 3, "maxLength": 50 }
    /// A role's description: 5 to 100 characters on one line.
    Description, { "type": "string", "minLength": 5, "maxLength": 100 }
}

impl Username {
    /// The form that is compared: case-folded and NFKC again. Unique over all accounts, deleted ones included.
    pub fn key(&self) -> String {
        caseless(&self.0)
    }
}

impl FromStr for Username {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        identifier(text).map(Self).map_err(|message| Invalid::new("invalid_username", message))
    }
}

impl RoleName {
    /// The form that is compared: case-folded and NFKC again.
    pub fn key(&self) -> String {
        caseless(&self.0)
    }
}

impl FromStr for RoleName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        identifier(text).map(Self).map_err(|message| Invalid::new("invalid_role_name", message))
    }
}

impl PathParam for Username {}
impl PathParam for RoleName {}

impl Email {
    /// The form that is compared: the local part case-folded, the domain as the DNS has it (lower case, punycode).
    pub fn key(&self) -> String {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| caseless(domain));
        format!("{}@{domain}", caseless(local))
    }
}

impl FromStr for Email {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |message| Invalid::new("invalid_email", message);
        if !(5..=100).contains(&text.chars().count()) {
            return Err(invalid("must have 5 to 100 characters"));
        }
        let plain = Options::default().without_display_text().without_domain_literal().with_required_tld();
        let address = EmailAddress::parse_with_options(text, plain)
            .map_err(|_| invalid("must be an email address, such as ada@example.org"))?;
        idna::domain_to_ascii(address.domain()).map_err(|_| invalid("has a domain that cannot exist"))?;
        match text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            true => Err(invalid("must not contain spaces or control characters")),
            false => Ok(Self(text.to_owned())),
        }
    }
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

/// The compatibility form of a name, or why it is none.
fn identifier(text: &str) -> Result<String, &'static str> {
    let name = nfkc(text);
    if !(3..=50).contains(&name.chars().count()) {
        return Err("must have 3 to 50 characters");
    }
    if !name.chars().all(|c| matches!(c, '.' | '_' | '-') || is_letter_mark_or_digit(c)) {
        return Err("must have only letters and digits of any script, and . _ -");
    }
    // A combining mark needs a letter to sit on; at the start it would attach to whatever a page prints before the name.
    if name.chars().next().is_some_and(is_mark) {
        return Err("must not start with a combining mark");
    }
    Ok(name.into_owned())
}

fn is_letter_mark_or_digit(c: char) -> bool {
    // Characters that show nothing (variation selectors, fillers) are letters or marks to Unicode, and would make two
    // names that look the same.
    !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        && (GeneralCategoryGroup::Letter.contains(GeneralCategory::for_char(c))
            || is_mark(c)
            || GeneralCategory::for_char(c) == GeneralCategory::DecimalNumber)
}

fn is_mark(c: char) -> bool {
    matches!(GeneralCategory::for_char(c), GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark)
}

fn nfkc(text: &str) -> Cow<'_, str> {
    const { ComposingNormalizerBorrowed::new_nfkc() }.normalize(text)
}

/// Unicode's caseless match for identifiers (Unicode 3.13, D146): NFKC, case folding, NFKC again until nothing changes.
pub(crate) fn caseless(text: &str) -> String {
    let mapper = const { CaseMapperBorrowed::new() };
    let mut folded = nfkc(text).into_owned();
    loop {
        let again = nfkc(&mapper.fold_string(&folded)).into_owned();
        if again == folded {
            return folded;
        }
        folded = again;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(name: &str) -> String {
        name.parse::<Username>().map(|name| name.key()).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    #[test]
    fn names_that_look_the_same_are_the_same() {
        assert_eq!(key("Ada"), key("ADA"));
        assert_eq!(key("ﬁona"), key("FIONA"), "a ligature");
        assert_eq!(key("Ａｄａ"), key("ada"), "full-width letters");
        assert_eq!(key("e\u{301}mile"), key("Émile"), "composed and decomposed");
        assert_eq!(key("Σίσυφος"), key("ΣΊΣΥΦΟΣ"), "the final sigma");
        assert_eq!(key("straße"), key("STRASSE"));
    }

    #[test]
    fn letters_of_any_script_are_letters() {
        for name in ["Ольга", "李小龍", "देवनागरी", "عائشة", "𞤀𞤣𞤤𞤢𞤥", "ada.lovelace-1815_"]
        {
            assert!(name.parse::<Username>().is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(51);
        for name in
            ["", "ab", &long, "ada lovelace", "ada\0", "ada/b", "😀😀😀", "\u{301}ada", "ad\u{200d}a", "ada\u{fe0f}"]
        {
            assert!(name.parse::<Username>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_email_is_compared_without_regard_to_case() {
        let key = |email: &str| email.parse::<Email>().map(|email| email.key()).ok();
        assert_eq!(key("Ada@Example.ORG"), key("ada@example.org"));
        assert_eq!(key("ada@bücher.example"), key("ADA@xn--bcher-kva.example"));
        for wrong in
            ["ada", "@b.c", "a@b", "ada@", "ada@exa mple.org", "Ada <ada@example.org>", "ada@[127.0.0.1]", "a@b.c\0"]
        {
            assert_eq!(key(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_level_is_digits_within_its_range() {
        for wrong in ["", "-1", "+1", "1.0", "100000", "99999999999999999999", "٣", " 1", "0x1"] {
            assert!(wrong.parse::<Level>().is_err(), "{wrong:?}");
        }
        assert_eq!("99999".parse(), Ok(Level(99_999)));
    }

    proptest! {
        #[test]
        fn a_name_survives_its_own_spelling_and_its_key_is_stable(text in "\\PC{0,60}") {
            if let Ok(name) = text.parse::<Username>() {
                let again = name.as_str().parse::<Username>();
                prop_assert_eq!(again.as_ref(), Ok(&name));
                prop_assert_eq!(caseless(&name.key()), name.key());
            }
            if let Ok(email) = text.parse::<Email>() {
                let again = email.as_str().parse::<Email>();
                prop_assert_eq!(again.as_ref(), Ok(&email));
            }
        }

        #[test]
        fn ascii_names_of_the_right_length_are_names(text in "[A-Za-z0-9._-]{3,50}") {
            prop_assert!(text.parse::<Username>().is_ok());
            prop_assert_eq!(key(&text), text.to_ascii_lowercase());
        }
    }
}
