//! A letter as a mail: its headers, and what strangers put into it made harmless.

use std::str::FromStr;

use authy_core::{
    Email, EventId,
    engine::{Letter, LetterKind, Undelivered},
};
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use super::MailConfig;

/// The longest value that a mail shows: a user agent can have thousands of characters.
const LONGEST: usize = 200;

/// Whom mails are from: an address, with or without a name.
#[derive(Clone, Debug)]
pub struct Sender(Mailbox);

/// Why a text is no [`Sender`].
#[derive(Debug, thiserror::Error)]
#[error("must be an address, with or without a name, such as Shop <no-reply@shop.example>")]
pub struct InvalidSender;

impl Sender {
    /// Who writes when nobody said who does: nothing leaves the house under that address.
    pub(super) fn nobody() -> Result<Self, InvalidSender> {
        "authy <authy@localhost>".parse()
    }
}

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, InvalidSender> {
        if text.chars().any(is_invisible) {
            return Err(InvalidSender);
        }
        text.parse().map(Self).map_err(|_| InvalidSender)
    }
}

impl MailConfig {
    /// A letter as a mail.
    pub(super) fn compose(&self, event: EventId, letter: &Letter) -> Result<Message, Undelivered> {
        let from = &self.from.0;
        let to = address(&letter.to)
            .map_err(|error| Undelivered::for_good("no mail can be sent to this address").because(error))?;
        let rendered = self
            .templates
            .render(letter.kind, |name| self.value(letter, name))
            .map_err(|error| Undelivered::for_now("a template cannot be filled in").because(error))?;
        // Two mails with the same id are one that was sent twice.
        let id = format!("<{event}.{}@{}>", letter.kind.as_str(), from.email.domain());
        // RFC 3834: whoever is away does not answer it.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(from.clone())
            .to(to.into())
            .subject(clean(&rendered.subject))
            .date_now()
            .message_id(Some(id))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html))
            .map_err(|error| Undelivered::for_now("the mail cannot be put together").because(error))
    }

    /// What a variable of a template stands for; empty when it does not apply.
    fn value(&self, letter: &Letter, name: &str) -> String {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let value = match name {
            "username" => text(Some(letter.username.as_str())),
            "code" => text(letter.code.as_ref().map(authy_core::Secret::expose)),
            "link" => return self.link(letter).unwrap_or_default(),
            "expires" => letter.expires.map(|expires| expires.to_string()).unwrap_or_default(),
            "happened" => letter.happened.to_string(),
            "ip" => text(letter.ip.as_deref()),
            "user_agent" => text(letter.user_agent.as_deref()),
            "service" => self.from.0.name.clone().unwrap_or_else(|| self.service.clone()),
            _ => String::new(),
        };
        clean(&value)
    }

    /// Where to go with the code.
    fn link(&self, letter: &Letter) -> Option<String> {
        let page = match letter.kind {
            LetterKind::Validate | LetterKind::ConfirmEmail => Some(&self.validate_url),
            LetterKind::Reset => self.reset_url.as_ref(),
            _ => None,
        };
        Some(page?.with(letter.code.as_ref()?))
    }
}

/// An address as mail servers know it: with the domain as the DNS has it.
fn address(email: &Email) -> Result<Address, lettre::address::AddressError> {
    let (local, domain) = email.as_str().rsplit_once('@').ok_or(lettre::address::AddressError::MissingParts)?;
    let domain = idna::domain_to_ascii(domain).map_err(|_| lettre::address::AddressError::InvalidDomain)?;
    Address::new(local, domain)
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
    use authy_core::{Secret, Timestamp};
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

    fn letter(kind: LetterKind) -> Letter {
        Letter {
            kind,
            to: "ada@example.org".parse().unwrap(),
            username: "ada".parse().unwrap(),
            code: Some(Secret::new("abc-_9")),
            expires: None,
            happened: Timestamp::now(),
            ip: None,
            user_agent: None,
        }
    }

    fn mail(config: &MailConfig, letter: &Letter) -> String {
        String::from_utf8(config.compose(EventId::random(), letter).unwrap().formatted()).unwrap()
    }

    fn headers(mail: &str) -> Vec<&str> {
        let head = mail.split("\r\n\r\n").next().unwrap();
        head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).collect()
    }

    #[test]
    fn a_mail_has_the_headers_that_it_needs_and_no_others() {
        let (config, letter) = (config(), letter(LetterKind::Validate));
        let mail = mail(&config, &letter);
        let names: Vec<&str> = headers(&mail).iter().map(|line| line.split_once(':').unwrap().0).collect();
        let expected =
            ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"];
        assert_eq!(names, expected, "{mail}");
        assert!(mail.contains("From: \"The Shop\" <no-reply@shop.example>\r\nTo: ada@example.org\r\n"), "{mail}");
    }

    #[test]
    fn an_international_domain_is_written_as_the_dns_has_it() {
        let mut letter = letter(LetterKind::Reset);
        letter.to = "ada@bücher.example".parse().unwrap();
        assert!(mail(&config(), &letter).contains("To: ada@xn--bcher-kva.example\r\n"));
    }

    #[test]
    fn a_sender_is_an_address() {
        for text in ["", "Shop", "Shop <no-reply>", "a@b.example\r\nBcc: c@d.example", "Shop\u{202e} <a@b.example>"] {
            assert!(text.parse::<Sender>().is_err(), "{text}");
        }
        assert!("no-reply@shop.example".parse::<Sender>().is_ok() && Sender::nobody().is_ok());
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
            let mut letter = letter(LetterKind::PasswordChanged);
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
        fn a_subject_of_any_text_stays_one_header(subject in "(.|\r|\n){0,200}") {
            let mut config = config();
            config.from.0.name = None;
            config.service = subject;
            let letter = letter(LetterKind::Reset);
            let mail = mail(&config, &letter);
            prop_assert_eq!(headers(&mail).len(), 8, "{}", mail);
        }
    }
}
