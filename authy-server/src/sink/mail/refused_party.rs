//! Which party a mail server refuses: the recipient, permanently, or this server, whose settings an operator can
//! correct.
//!
//! A mail that is refused because of this server is retried until it is too old. Only a mail that the recipient's
//! mailbox or domain refuses is given up at once.

use std::error::Error as _;

use lettre::transport::smtp::Error;

/// The step of a mail transaction that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SmtpStep {
    /// RCPT, the recipient.
    Recipient,
    /// DATA and the mail itself, which has one recipient.
    Mail,
}

/// The party that a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusedParty {
    /// The recipient's mailbox or domain.
    Recipient,
    /// This server: the sender, the login, the relay, its reputation or the protocol. Also failures that pass.
    Sender,
}

impl RefusedParty {
    /// Reads the answer of a server. `has_accepted_recipient` says whether it has accepted a recipient from this server
    /// before.
    pub(super) fn of(error: &Error, step: SmtpStep, has_accepted_recipient: bool) -> Self {
        let code = error.status().filter(|_| error.is_permanent()).map_or(0, u16::from);
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        Self::read(code, &text, step, has_accepted_recipient)
    }

    fn read(code: u16, text: &str, step: SmtpStep, has_accepted_recipient: bool) -> Self {
        let is_recipients = match (code, enhanced(text)) {
            (..500, _) => false,
            // RFC 3463 and the registry of IANA: 1 is about addresses, 2 about mailboxes. Postfix refuses a sender
            // (1.7, 1.8) only once there is a recipient; 1.0 says nothing.
            (_, Some((1, 0))) => step == SmtpStep::Recipient && has_accepted_recipient,
            (_, Some((1, detail))) => !matches!(detail, 7 | 8),
            (_, Some((2, _))) => true,
            // RFC 6531: the mailbox needs SMTPUTF8. All of our own is ASCII.
            (_, Some((6, 7))) => true,
            // The network, the protocol, policy: a server that does not relay for us says 7.1.
            (_, Some(_)) => false,
            // RFC 7504: the domain accepts no mail.
            (556, None) => step == SmtpStep::Recipient,
            // RFC 5321, 4.2.3: the mailbox does not exist, is elsewhere, is full, or has an invalid name. A server that
            // does not relay for us says the same about every recipient.
            (550..=553, None) => step == SmtpStep::Recipient && has_accepted_recipient,
            (_, None) => false,
        };
        if is_recipients { Self::Recipient } else { Self::Sender }
    }
}

/// Returns the subject and the detail of the enhanced status code that a text begins with (RFC 2034), such as 5.1.1.
fn enhanced(text: &str) -> Option<(u16, u16)> {
    let mut parts = text.split_whitespace().next()?.split('.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    (class == "5" && parts.next().is_none()).then_some(())?;
    Some((subject.parse().ok()?, detail.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recipient_is_refused_permanently() {
        let read = |code, text: &str, has_accepted_recipient| {
            [SmtpStep::Recipient, SmtpStep::Mail]
                .map(|step| RefusedParty::read(code, text, step, has_accepted_recipient) == RefusedParty::Recipient)
        };
        for (code, text) in
            [(550, "5.1.1 no such user"), (553, "5.1.3 bad syntax"), (552, "5.2.2 full"), (553, "5.6.7 i18n")]
        {
            assert_eq!(read(code, text, false), [true, true], "{code} {text}");
        }
        for (code, text) in [
            (0, ""),
            (451, "4.1.1 later"),
            (450, "5.1.1 a code that does not fit"),
            (554, "5.7.1 relay access denied"),
            (550, "5.1.8 sender address rejected"),
            (550, "5.1.7 sender address rejected"),
            (530, "5.7.0 log in first"),
            (535, "wrong login"),
            (503, "bad sequence"),
            (554, "no"),
            (521, "no mail here"),
        ] {
            assert_eq!(read(code, text, true), [false, false], "{code} {text}");
        }
        // The codes for a mailbox, perhaps said about every recipient.
        assert_eq!(read(550, "relay not permitted", false), [false, false]);
        assert_eq!(read(550, "unrouteable address", true), [true, false]);
        assert_eq!(read(550, "5.1.0 rejected", false), [false, false]);
        assert_eq!(read(550, "5.1.0 rejected", true), [true, false]);
        assert_eq!(read(556, "no mail", false), [true, false]);
    }

    #[test]
    fn a_text_of_any_kind_has_a_code_or_none() {
        assert_eq!(enhanced("5.1.1 no such user"), Some((1, 1)));
        assert_eq!(enhanced("5.1.10"), Some((1, 10)));
        for text in ["", " ", "5", "5.1", "5.1.1.1", "4.1.1", "x.y.z", "5.1.99999999", "192.0.2.1 is blocked"] {
            assert_eq!(enhanced(text), None, "{text}");
        }
    }
}
