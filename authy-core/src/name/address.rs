//! Email addresses: the same rules for accepting an address and for sending mail to it.

use std::str::FromStr;

use email_address::EmailAddress;
use icu_normalizer::ComposingNormalizerBorrowed;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::{
    Email,
    identifier::{COMPOSED, caseless, is_ignorable, is_mark},
};
use crate::Invalid;

/// Maximum length of an address in octets: a path of RFC 5321 (4.5.3.1.3) has 256, including its angle brackets.
const MAX_OCTETS: usize = 254;

/// The two parts of an address, in the form that mail servers accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddrSpec {
    local_part: String,
    domain: String,
}

impl AddrSpec {
    /// Returns the part before the `@`: a dot-atom (RFC 5322, 3.2.3; RFC 6531, 3.3) in NFC of at most 64 octets. When
    /// it is not ASCII, only servers with SMTPUTF8 accept it.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// Returns the domain in ASCII, as in the DNS: lower case, with international labels as A-labels.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Parses an address. Returns its parts, and the domain as it is displayed.
    fn parse(text: &str) -> Result<(Self, String), Invalid> {
        let invalid = |message| Invalid::new("invalid_email", message);
        const EXPECTED: &str = "must be an email address, such as ada@example.org";
        // Checked before any computation, so that the length of the text limits the work.
        if text.chars().nth(100 * COMPOSED).is_some() {
            return Err(invalid("must have 5 to 100 characters"));
        }
        let text = const { ComposingNormalizerBorrowed::new_nfc() }.normalize(text);
        if !(5..=100).contains(&text.chars().count()) {
            return Err(invalid("must have 5 to 100 characters"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid("must not contain spaces or control characters"));
        }
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| invalid(EXPECTED))?;
        if local.starts_with('"') {
            return Err(invalid("must not have quotes before the @: many mail servers do not accept such an address"));
        }
        if !is_dot_atom(local) {
            return Err(invalid(EXPECTED));
        }
        let (ascii, shown) = domain_of(domain).ok_or_else(|| invalid("has a domain that cannot exist"))?;
        if local.len() + 1 + ascii.len() > MAX_OCTETS {
            return Err(invalid("is longer than mail servers accept"));
        }
        let (local_part, shown) = (local.to_owned(), format!("{local}@{shown}"));
        // The domain may have become longer: the displayed form must be a valid address, too.
        match (5..=100).contains(&shown.chars().count()) {
            true => Ok((Self { local_part, domain: ascii }, shown)),
            false => Err(invalid("must have 5 to 100 characters")),
        }
    }
}

impl Email {
    /// Returns the form used for comparison: the local part case-folded, the domain as in the DNS (lower case,
    /// A-labels).
    pub fn key(&self) -> String {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        key(local, domain)
    }

    /// Returns the address in the form that mail servers accept.
    ///
    /// # Errors
    /// When no mail can be sent to the address. Such an address was stored under earlier rules; new ones are parsed by
    /// this function.
    pub fn addr_spec(&self) -> Result<AddrSpec, Invalid> {
        AddrSpec::parse(&self.0).map(|(parts, _)| parts)
    }
}

/// Returns what the keys of names and addresses begin with that begin with a text. In a domain, a label that is not ASCII
/// must be complete: the A-label of its beginning is not the beginning of its A-label.
#[cfg(feature = "engine")]
pub(crate) fn search_key(text: &str) -> String {
    match text.rsplit_once('@') {
        // No name contains it.
        Some((local, domain)) => key(local, domain),
        None => super::identifier::key(text),
    }
}

fn key(local: &str, domain: &str) -> String {
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| caseless(domain));
    format!("{}@{domain}", caseless(local))
}

impl FromStr for Email {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        AddrSpec::parse(text).map(|(_, shown)| Self(shown))
    }
}

/// Returns whether a text is a local part without quotes. Letters, marks and digits of any script are allowed (RFC
/// 6531). Invisible characters are not: two such addresses would look the same.
fn is_dot_atom(local: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.starts_with(is_mark)
            && atom.chars().all(|c| match c.is_ascii() {
                true => true,
                false => (c.is_alphanumeric() || is_mark(c)) && !is_ignorable(c),
            })
    };
    // The parser of the mail builder checks the ASCII characters; an `x` replaces those it does not know.
    let ascii: String = local.chars().map(|c| if c.is_ascii() { c } else { 'x' }).collect();
    local.len() <= 64 && local.split('.').all(is_atom) && EmailAddress::is_valid_local_part(&ascii)
}

/// Returns a domain of at least two labels that can exist in the DNS, in ASCII and as it is displayed. The displayed
/// form is the typed one, unless the domain is international, because that can be typed in several ways.
///
/// UTS 46 without transitional processing, with STD3 rules and DNS length limits. Hyphens are allowed in the third and
/// fourth position, because real names have them there.
fn domain_of(domain: &str) -> Option<(String, String)> {
    let rules = (AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    let ascii = Uts46::new().to_ascii(domain.as_bytes(), rules.0, rules.1, DnsLength::Verify).ok()?;
    let (_, last) = ascii.rsplit_once('.')?;
    // Many programs read a name that ends in a number as an IPv4 address (URL Standard, "ends in a number checker"). It
    // has no MX.
    let is_hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_hex || last.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let shown = match domain.is_ascii() {
        true => domain.to_owned(),
        false => match Uts46::new().to_unicode(domain.as_bytes(), rules.0, rules.1) {
            (shown, Ok(())) => shown.into_owned(),
            (_, Err(_)) => return None,
        },
    };
    Some((ascii.into_owned(), shown))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Option<String> {
        text.parse::<Email>().ok().map(String::from)
    }

    fn parts(text: &str) -> (String, String) {
        let parts = text.parse::<Email>().unwrap().addr_spec().unwrap();
        (parts.local_part, parts.domain)
    }

    #[test]
    fn an_email_is_compared_without_regard_to_case() {
        let key = |email: &str| email.parse::<Email>().map(|email| email.key()).ok();
        assert_eq!(key("Ada@Example.ORG"), key("ada@example.org"));
        assert_eq!(key("ada@bücher.example"), key("ADA@xn--bcher-kva.example"));
    }

    #[test]
    fn addresses_that_cannot_be_mailed_are_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for wrong in [
            "ada",
            "@b.c",
            "a@b",
            "ada@",
            "a@b@c.example",
            "ada@exa mple.org",
            "Ada <ada@example.org>",
            "a@b.c\0",
            // Quoted: the mail builder does not send there, and many servers refuse it.
            "\"ann@home\"@example.org",
            "\"a,b\"@example.org",
            "\"(c)\"@example.org",
            "\"ada\"@example.org",
            "\"ada@example.org",
            "(c)@example.org",
            "a,b@example.org",
            "ada.@example.org",
            ".ada@example.org",
            "a..b@example.org",
            // Address literals.
            "ada@[127.0.0.1]",
            "ada@[IPv6:::1]",
            "ada@127.0.0.1",
            "ada@127.1",
            "ada@example.0x7f",
            "ada@example.123",
            "ada@example.１２３",
            // Domains that cannot exist.
            "ada@-example.org",
            "ada@example-.org",
            "ada@exa_mple.org",
            "ada@example..org",
            "ada@example.org.",
            "ada@xn--zzzzzzzz-.org",
            "ada@\u{301}a.example",
            "ada@a\u{200d}b.example",
            "ada@שa.example",
            // Invisible characters.
            "a\u{200b}da@example.org",
            "a\u{200d}da@example.org",
            "ada\u{2028}@example.org",
            "\u{301}ada@example.org",
            &long,
        ] {
            assert_eq!(shown(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_address_has_one_form() {
        assert_eq!(shown("Ada@Example.ORG").as_deref(), Some("Ada@Example.ORG"), "ASCII stays as it was typed");
        assert_eq!(shown("jo\u{308}rg@example.org").as_deref(), Some("jörg@example.org"), "NFD");
        assert_eq!(shown("ada@bu\u{308}cher.example").as_deref(), Some("ada@bücher.example"));
        assert_eq!(shown("ada@BÜCHER。Example").as_deref(), Some("ada@bücher.example"));
        assert_eq!(parts("ada@bücher.example"), ("ada".to_owned(), "xn--bcher-kva.example".to_owned()));
        assert_eq!(parts("Ada@Example.ORG"), ("Ada".to_owned(), "example.org".to_owned()));
        for good in ["संपर्क@डाटामेल.भारत", "用户@例子.广告", "o'hara+tag/x=y@r3---sn.example", "δοκιμή@παράδειγμα.δοκιμή"]
        {
            assert_eq!(shown(good).as_deref(), Some(good));
        }
    }

    #[test]
    fn an_address_from_before_the_rule_is_one_that_no_mail_can_be_sent_to() {
        for stored in ["\"ann@home\"@example.org", "nobody", "", "a@127.0.0.1"] {
            let email: Email = serde_json::from_value(stored.into()).unwrap();
            assert_eq!(email.as_str(), stored);
            assert!(email.addr_spec().is_err(), "{stored}");
            let _ = email.key();
        }
    }

    proptest! {
        #[test]
        fn an_address_is_read_as_itself(text in "\\PC{1,20}@\\PC{1,12}\\.\\PC{2,6}", plain in "[a-zéñ.+_-]{1,12}@[a-zü0-9-]{1,9}\\.[a-z]{2,5}") {
            for text in [text, plain] {
                if let Ok(email) = text.parse::<Email>() {
                    let again = email.as_str().parse::<Email>();
                    prop_assert_eq!(again.as_ref(), Ok(&email));
                    let parts = email.addr_spec().unwrap();
                    let wire: Email = format!("{}@{}", parts.local_part(), parts.domain()).parse().unwrap();
                    prop_assert_eq!(wire.key(), email.key());
                    prop_assert_eq!(wire.addr_spec(), Ok(parts));
                }
            }
        }
    }
}
