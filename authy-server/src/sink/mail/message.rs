//! A letter as a mail: its headers, and what strangers put into it made harmless.

use std::str::FromStr;

use authy_core::{
    AddrSpec, Email, EventId,
    engine::{DeliveryError, Notification, NotificationKind},
    time::HttpDate,
};
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use super::{MailConfig, agent};

/// The longest value or subject that a mail shows, in characters: templates and the name of the sender are any text.
const LONGEST: usize = 200;

/// The sender of mails: an address in ASCII, with the domain in the form of the DNS, with or without a name.
#[derive(Clone, Debug)]
pub struct Sender(Mailbox);

/// Why a text is no [`Sender`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSender(&'static str);

impl Sender {
    /// Who writes when nobody said who does: nothing leaves the house under that address.
    pub(super) fn nobody() -> Result<Self, InvalidSender> {
        "authy <authy@localhost>".parse()
    }
}

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, InvalidSender> {
        const EXPECTED: InvalidSender =
            InvalidSender("must be an address, with or without a name, such as Shop <no-reply@shop.example>");
        if text.chars().any(is_invisible) {
            return Err(EXPECTED);
        }
        let Mailbox { name, email } = text.parse().map_err(|_| EXPECTED)?;
        if !email.user().is_ascii() {
            // One server on the way without SMTPUTF8, ours or a recipient's, and the mail is lost.
            return Err(InvalidSender("must be ASCII before the @: most mail servers accept no other sender"));
        }
        let sender = match email.to_string().parse::<Email>().and_then(|email| email.addr_spec()) {
            Ok(parts) => address(&parts),
            // A name or an address of this network has no place among those of people, and can send mails.
            Err(_) if is_local(&email) => email,
            Err(_) => return Err(EXPECTED),
        };
        Ok(Self(Mailbox::new(name, sender)))
    }
}

impl MailConfig {
    /// A letter as a mail.
    pub(super) fn compose(&self, event: EventId, letter: &Notification) -> Result<Message, DeliveryError> {
        let from = &self.from.0;
        let to = letter.to.addr_spec();
        let to = to.map_err(|why| DeliveryError::permanent("no mail can be sent to this address").with_source(why))?;
        let to = address(&to);
        // Given, not read back from the headers by a parser with a rule of its own.
        let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()])
            .map_err(|error| DeliveryError::permanent("the mail cannot be put together").with_source(error))?;
        let rendered = self
            .templates
            .render(letter.kind, |name| self.value(letter, name))
            .map_err(|error| DeliveryError::retryable("a template cannot be filled in").with_source(error))?;
        // Two mails with the same id are one that was sent twice.
        let id = format!("<{event}.{}@{}>", letter.kind.as_str(), from.email.domain());
        // RFC 3834: whoever is away does not answer it.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .envelope(envelope)
            .from(from.clone())
            .to(to.into())
            .subject(clean(&rendered.subject))
            .date_now()
            .message_id(Some(id))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html))
            .map_err(|error| DeliveryError::permanent("the mail cannot be put together").with_source(error))
    }

    /// What a variable of a template stands for; empty when it does not apply.
    fn value(&self, letter: &Notification, name: &str) -> String {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let value = match name {
            "username" => letter.username.as_ref().map(|name| unlinked(name.as_str())).unwrap_or_default(),
            "code" => text(letter.code.as_ref().map(authy_core::Secret::expose)),
            "link" => return self.link(letter).unwrap_or_default(),
            "expires" => letter.expires.map(|expires| HttpDate(expires).to_string()).unwrap_or_default(),
            "happened" => HttpDate(letter.happened).to_string(),
            "ip" => text(letter.ip.as_deref()),
            "user_agent" => text(letter.user_agent.as_deref().and_then(agent::describe).as_deref()),
            "service" => self.from.0.name.clone().unwrap_or_else(|| self.service.clone()),
            _ => String::new(),
        };
        clean(&value)
    }

    /// Where to go with the code.
    fn link(&self, letter: &Notification) -> Option<String> {
        let page = match letter.kind {
            NotificationKind::Validate | NotificationKind::ConfirmEmail => Some(&self.validate_url),
            NotificationKind::Reset => self.reset_url.as_ref(),
            _ => None,
        };
        Some(page?.with(letter.code.as_ref()?))
    }
}

/// An address for the mail builder, whose own check refuses letters that RFC 6531 allows: ours has been made.
fn address(parts: &AddrSpec) -> Address {
    Address::new_dangerous(parts.local_part(), parts.domain())
}

/// Whether an address has a host name without a dot, or an IP address in brackets; in ASCII, and without quotes.
fn is_local(address: &Address) -> bool {
    let is_label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let domain = address.domain();
    !address.user().starts_with('"') && domain.is_ascii() && (domain.chars().all(is_label) || domain.starts_with('['))
}

/// A name in which no mail program finds an address to make a link of: it would be one under the operator's name, and anybody
/// can call himself so. `www.example.com` is shown as `www[.]example[.]com`.
fn unlinked(name: &str) -> String {
    let mut shown = String::with_capacity(name.len() + 8);
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        match c == '.' && rest.peek().is_some_and(|next| next.is_alphanumeric()) {
            true => shown.push_str("[.]"),
            false => shown.push(c),
        }
    }
    shown
}

/// A text on one line that shows what is in it: without line breaks and control characters, without what turns the direction of
/// writing around or cannot be seen.
fn clean(text: &str) -> String {
    let mut clean: String = text.chars().filter(|c| !is_invisible(*c)).take(LONGEST + 1).collect();
    if let Some((end, _)) = clean.char_indices().nth(LONGEST) {
        clean.truncate(end);
        clean.push('…');
    }
    clean
}

fn is_invisible(c: char) -> bool {
    // The last two ranges: marks of direction, and characters without width.
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

#[cfg(test)]
mod tests {
    use authy_core::{Secret, time};
    use proptest::prelude::*;

    use super::*;
    use crate::sink::Templates;

    fn config() -> MailConfig {
        MailConfig {
            from: "The Shop <no-reply@shop.example>".parse().unwrap(),
            service: "https://auth.shop.example".to_owned(),
            validate_url: "https://auth.shop.example/authy/validate/{code}".parse().unwrap(),
            reset_url: None,
            templates: Templates::load(None).unwrap(),
        }
    }

    fn letter(kind: NotificationKind) -> Notification {
        Notification {
            kind,
            to: "ada@example.org".parse().unwrap(),
            username: "ada".parse().ok(),
            code: Some(Secret::new("abc-_9")),
            expires: None,
            happened: time::now(),
            ip: None,
            user_agent: None,
        }
    }

    fn mail(config: &MailConfig, letter: &Notification) -> String {
        String::from_utf8(config.compose(EventId::random(), letter).unwrap().formatted()).unwrap()
    }

    fn headers(mail: &str) -> Vec<&str> {
        let head = mail.split("\r\n\r\n").next().unwrap();
        head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).collect()
    }

    #[test]
    fn a_mail_has_the_headers_that_it_needs_and_no_others() {
        let (config, letter) = (config(), letter(NotificationKind::Validate));
        let mail = mail(&config, &letter);
        let names: Vec<&str> = headers(&mail).iter().map(|line| line.split_once(':').unwrap().0).collect();
        let expected =
            ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"];
        assert_eq!(names, expected, "{mail}");
        assert!(mail.contains("From: \"The Shop\" <no-reply@shop.example>\r\nTo: ada@example.org\r\n"), "{mail}");
    }

    #[test]
    fn an_international_domain_is_written_as_the_dns_has_it() {
        let mut letter = letter(NotificationKind::Reset);
        letter.to = "ada@bücher.example".parse().unwrap();
        assert!(mail(&config(), &letter).contains("To: ada@xn--bcher-kva.example\r\n"));
    }

    #[test]
    fn no_name_is_a_link() {
        for (name, shown) in [
            ("www.evil-prize.example", "www[.]evil-prize[.]example"),
            ("ada.lovelace", "ada[.]lovelace"),
            ("192.0.2.1", "192[.]0[.]2[.]1"),
            ("例え.テスト", "例え[.]テスト"),
            ("ada.", "ada."),
            ("a..b", "a.[.]b"),
        ] {
            assert_eq!(unlinked(name), shown);
        }
    }

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
        assert!(Sender::nobody().is_ok());
    }

    #[test]
    fn an_international_sender_is_in_ascii_everywhere() {
        let mut config = config();
        config.from = "Büchers Laden <no-reply@Bücher.example>".parse().unwrap();
        let message = config.compose(EventId::random(), &letter(NotificationKind::Reset)).unwrap();
        let from = message.envelope().from().unwrap();
        assert_eq!(AsRef::<str>::as_ref(from), "no-reply@xn--bcher-kva.example");
        let mail = String::from_utf8(message.formatted()).unwrap();
        assert!(mail.is_ascii() && mail.contains("<no-reply@xn--bcher-kva.example>\r\n"), "{mail}");
        assert!(mail.contains(".reset@xn--bcher-kva.example>\r\n"), "{mail}");
    }

    #[test]
    fn an_address_that_no_mail_can_be_sent_to_is_final() {
        let mut letter = letter(NotificationKind::Reset);
        for stored in ["\"ann@home\"@example.org", "nowhere", "a@127.0.0.1"] {
            letter.to = serde_json::from_value(stored.into()).unwrap();
            assert!(config().compose(EventId::random(), &letter).unwrap_err().is_permanent(), "{stored}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_left_out_and_what_is_long_is_cut() {
        assert_eq!(clean("a\r\nb\u{202e}c\u{0}d\u{85}e\u{2028}f"), "abcdef");
        assert_eq!(clean(&"é".repeat(1000)).chars().count(), LONGEST + 1);
    }

    proptest! {
        #[test]
        fn no_stranger_writes_a_header_or_a_tag(agent in ".{0,300}", line in "[\r\n:A-Za-z <>]{0,60}") {
            let config = config();
            let mut letter = letter(NotificationKind::PasswordChanged);
            let sound = headers(&mail(&config, &letter)).len();
            letter.user_agent = Some(format!("{agent}\r\nBcc: eve@example.org\r\n\r\n<script>{line}"));
            letter.ip = Some(line);
            let mail = mail(&config, &letter);
            prop_assert_eq!(headers(&mail).len(), sound, "{}", mail);
            let rendered = config.templates.render(letter.kind, |name| config.value(&letter, name)).unwrap();
            prop_assert!(!rendered.html.contains("<script"), "{}", rendered.html);
            prop_assert!(!rendered.text.contains("\nBcc"), "{}", rendered.text);
            prop_assert!(rendered.text.matches('\n').count() <= 9, "{}", rendered.text);
        }

        #[test]
        fn every_address_that_is_accepted_can_be_composed(
            text in "\\PC{1,20}@\\PC{1,12}\\.\\PC{2,6}", plain in "[a-zéñक्ि.+_'!-]{1,20}@[a-zü0-9क-]{1,9}\\.[a-zм]{2,5}",
        ) {
            let (config, mut letter) = (config(), letter(NotificationKind::Reset));
            for text in [text, plain] {
                let Ok(email) = text.parse::<Email>() else { continue };
                letter.to = email.clone();
                let message = config.compose(EventId::random(), &letter).unwrap();
                let to = message.envelope().to()[0].to_string();
                prop_assert_eq!(to.parse::<Email>().unwrap().key(), email.key());
                let mail = String::from_utf8(message.formatted()).unwrap();
                let line = format!("\r\nTo: {to}\r\n");
                prop_assert!(mail.contains(&line), "{}", mail);
            }
        }

        #[test]
        fn a_subject_of_any_text_stays_one_header(subject in "(.|\r|\n){0,200}") {
            let mut config = config();
            config.from.0.name = None;
            config.service = subject;
            let letter = letter(NotificationKind::Reset);
            let mail = mail(&config, &letter);
            prop_assert_eq!(headers(&mail).len(), 8, "{}", mail);
        }
    }
}
