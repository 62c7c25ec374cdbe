//! The sender of mails.

use std::str::FromStr;

use authy_core::{AddrSpec, Email};
use lettre::{Address, message::Mailbox};

/// The sender of mails: an address in ASCII, with the domain in the form of the DNS, with or without a name.
#[derive(Clone, Debug)]
pub struct Sender(pub(super) Mailbox);

/// A text that is not a [`Sender`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSender(&'static str);

impl Sender {
    /// Returns the sender of mails that are only written to files, when no sender is configured.
    pub fn local() -> Result<Self, InvalidSender> {
        "authy <authy@localhost>".parse()
    }
}

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, InvalidSender> {
        const EXPECTED: InvalidSender =
            InvalidSender("must be an address, with or without a name, such as Shop <no-reply@shop.example>");
        const QUOTE: InvalidSender = InvalidSender(
            "must have the name in quotes, because of a character in it: \"Shop, Inc.\" <no-reply@shop.example>",
        );
        if text.chars().any(is_invisible) {
            return Err(EXPECTED);
        }
        let Mailbox { name, email } = text.parse().map_err(|_| if is_unquoted(text) { QUOTE } else { EXPECTED })?;
        if !email.user().is_ascii() {
            // A mail is lost at the first server on its way without SMTPUTF8, ours or a recipient's.
            return Err(InvalidSender("must be ASCII before the @: most mail servers accept no other sender"));
        }
        let sender = match email.to_string().parse::<Email>().and_then(|email| email.addr_spec()) {
            Ok(parts) => address(&parts),
            // A host without a dot or an IP address is refused for users, and is fine for the sender.
            Err(_) if has_local_domain(&email) => email,
            Err(_) => return Err(EXPECTED),
        };
        Ok(Self(Mailbox::new(name, sender)))
    }
}

/// Returns whether a name before an address contains a character that is special outside of quotes (RFC 5322, section
/// 3.2.3).
fn is_unquoted(text: &str) -> bool {
    let name = text.rsplit_once('<').map_or("", |(name, _)| name.trim());
    let is_quoted = name.len() > 1 && name.starts_with('"') && name.ends_with('"');
    !is_quoted && name.contains(['(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '"'])
}

/// Returns an address for the mail builder. The builder's own check refuses letters that RFC 6531 allows, so it is left
/// out: the parts have been checked.
pub(super) fn address(parts: &AddrSpec) -> Address {
    Address::new_dangerous(parts.local_part(), parts.domain())
}

/// Returns whether an address has a host name without a dot, or an IP address in brackets; in ASCII, and without
/// quotes.
fn has_local_domain(address: &Address) -> bool {
    let is_label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let domain = address.domain();
    !address.user().starts_with('"') && domain.is_ascii() && (domain.chars().all(is_label) || domain.starts_with('['))
}

/// Returns whether a character is a control character or cannot be seen.
pub(super) fn is_invisible(c: char) -> bool {
    // The last two ranges: marks of direction, and characters without width.
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_an_address() {
        for text in [
            "",
            "Shop",
            "Shop <no-reply>",
            "a@b.example\r\nBcc: c@d.example",
            "Shop\u{202e} <a@b.example>",
            "Shop <\"no reply\"@shop.example>",
            "\"a,b\"@localhost",
            "a@shop.example.",
            "a@sh_op.example",
            "a@127.0.0.1",
            "Shop <a@[192.0.2.1]>",
        ] {
            assert!(text.parse::<Sender>().is_err(), "{text}");
        }
        for text in ["no-reply@shop.example", "authy@localhost"] {
            assert!(text.parse::<Sender>().is_ok(), "{text}");
        }
        let why = "Jörg <jörg@shop.example>".parse::<Sender>().unwrap_err().to_string();
        assert!(why.contains("ASCII before the @"), "{why}");
        assert!(Sender::local().is_ok());
    }

    #[test]
    fn a_name_that_must_be_quoted_says_so() {
        for text in [
            "Shop, Inc. <a@shop.example>",
            "Shop (London) <a@shop.example>",
            "Shop: mail <a@shop.example>",
            "Ada @ Shop <a@shop.example>",
            "The \"Shop <a@shop.example>",
        ] {
            let why = text.parse::<Sender>().unwrap_err().to_string();
            assert!(why.contains("the name in quotes"), "{text}: {why}");
        }
        for text in ["\"Shop, Inc.\" <a@shop.example>", "Shop Inc. <a@shop.example>", "Shöp & Co <a@shop.example>"] {
            assert!(text.parse::<Sender>().is_ok(), "{text}");
        }
        let several = "a@shop.example, b@shop.example".parse::<Sender>().unwrap_err().to_string();
        assert!(several.contains("an address"), "{several}");
    }
}
