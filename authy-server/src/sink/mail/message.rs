//! Composes mails: headers and texts, with everything that users or anonymous callers wrote made harmless.

use authy_core::{
    EventId,
    engine::{DeliveryError, Notification, NotificationKind},
    time::HttpDate,
};
use lettre::{
    Message,
    address::Envelope,
    message::{
        MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use crate::{link_template::LinkTemplate, user_agent};

use super::{
    sender::{Sender, address, is_invisible},
    template::{RenderedMail, Templates},
};

/// Maximum length of a subject and of a value in a mail, in characters: templates and the name of the sender may be any
/// text.
const MAX_SHOWN_CHARS: usize = 200;

/// The sender, the links and the texts of mails.
///
/// ```
/// use authy_server::sink::MailConfig;
///
/// # fn config() -> Result<MailConfig, Box<dyn std::error::Error>> {
/// let from = "Shop <no-reply@shop.example>".parse()?;
/// let config = MailConfig::new(from, "https://shop.example/confirm/{code}".parse()?);
/// Ok(config.reset_url("https://shop.example/reset/{code}".parse()?))
/// # }
/// # config().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct MailConfig {
    from: Sender,
    service: Option<String>,
    validate_url: LinkTemplate,
    reset_url: Option<LinkTemplate>,
    templates: Templates,
}

impl MailConfig {
    /// Creates the configuration of mails with a sender, a page that confirms an address, and the built-in texts.
    pub fn new(from: Sender, validate_url: LinkTemplate) -> Self {
        Self { from, service: None, validate_url, reset_url: None, templates: Templates::default() }
    }

    /// Sets the sender.
    #[must_use]
    pub fn from(self, from: Sender) -> Self {
        Self { from, ..self }
    }

    /// Sets what mails call the service when the sender has no name. Default: the beginning of the page that confirms an
    /// address, such as `https://shop.example`, because readers know it from their browser.
    #[must_use]
    pub fn service(self, name: impl Into<String>) -> Self {
        Self { service: Some(name.into()), ..self }
    }

    /// Sets the page that confirms an address.
    #[must_use]
    pub fn validate_url(self, page: LinkTemplate) -> Self {
        Self { validate_url: page, ..self }
    }

    /// Sets the page on which a new password is chosen. Default: none; then the mail contains the code itself, because only
    /// the program knows whether it has such a page.
    #[must_use]
    pub fn reset_url(self, page: LinkTemplate) -> Self {
        Self { reset_url: Some(page), ..self }
    }

    /// Sets the texts. Default: those that are built in.
    #[must_use]
    pub fn templates(self, templates: Templates) -> Self {
        Self { templates, ..self }
    }

    /// Composes the mail of a notification.
    pub(super) fn compose(&self, event: EventId, notification: &Notification) -> Result<Message, DeliveryError> {
        let from = &self.from.0;
        let to = notification.to.addr_spec();
        let to = to.map_err(|why| DeliveryError::permanent("no mail can be sent to this address").with_source(why))?;
        let to = address(&to);
        // Set here, because lettre would otherwise read the headers back with a parser of other rules.
        let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()])
            .map_err(|error| DeliveryError::permanent("the mail cannot be composed").with_source(error))?;
        let rendered = self.render(notification)?;
        // A mail that is sent twice has the same id both times.
        let id = format!("<{event}.{}@{}>", notification.kind.as_str(), from.email.domain());
        // RFC 3834: automatic replies are not sent to it.
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
            .map_err(|error| DeliveryError::permanent("the mail cannot be composed").with_source(error))
    }

    /// Returns a mail as a test reads it.
    #[cfg(feature = "test-util")]
    pub(super) fn test_mail(&self, notification: &Notification) -> Result<super::TestMail, DeliveryError> {
        let RenderedMail { subject, text, .. } = self.render(notification)?;
        Ok(super::TestMail::new(notification, clean(&subject), text, self.link(notification)))
    }

    fn render(&self, notification: &Notification) -> Result<RenderedMail, DeliveryError> {
        let rendered = self.templates.render(notification.kind, |name| self.value(notification, name));
        rendered.map_err(|error| DeliveryError::retryable("a template cannot be filled in").with_source(error))
    }

    /// Returns the value of a variable of a template; empty when it does not apply.
    fn value(&self, notification: &Notification, name: &str) -> String {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let value = match name {
            // An administrator chose it, and the user has to log in with it: it is written as it is.
            "username" if notification.kind == NotificationKind::Invitation => {
                text(notification.username.as_ref().map(authy_core::Username::as_str))
            }
            "username" => notification.username.as_ref().map(|name| unlinked(name.as_str())).unwrap_or_default(),
            "code" => text(notification.code.as_ref().map(authy_core::Secret::expose)),
            "link" => return self.link(notification).unwrap_or_default(),
            "expires" => notification.expires.map(|expires| HttpDate(expires).to_string()).unwrap_or_default(),
            "happened" => HttpDate(notification.happened).to_string(),
            "ip" => text(notification.ip.as_deref()),
            "user_agent" => text(notification.user_agent.as_deref().and_then(user_agent::describe).as_deref()),
            "service" => self.service_name().to_owned(),
            _ => String::new(),
        };
        clean(&value)
    }

    /// Returns what mails call the service.
    fn service_name(&self) -> &str {
        let configured = || self.service.as_deref().unwrap_or_else(|| self.validate_url.origin());
        self.from.0.name.as_deref().unwrap_or_else(configured)
    }

    /// Returns the link with the code.
    fn link(&self, notification: &Notification) -> Option<String> {
        let page = match notification.kind {
            NotificationKind::Validate | NotificationKind::ConfirmEmail => Some(&self.validate_url),
            NotificationKind::Reset | NotificationKind::Invitation => self.reset_url.as_ref(),
            _ => None,
        };
        Some(page?.fill(notification.code.as_ref()?))
    }
}

/// Returns a name in which mail programs find no address to turn into a link: users choose their names, and the link
/// would appear in a mail from the operator. `www.example.com` becomes `www[.]example[.]com`.
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

/// Returns a text without line breaks, control characters, marks of direction and invisible characters, cut to a
/// length.
fn clean(text: &str) -> String {
    let mut clean: String = text.chars().filter(|c| !is_invisible(*c)).take(MAX_SHOWN_CHARS + 1).collect();
    if let Some((end, _)) = clean.char_indices().nth(MAX_SHOWN_CHARS) {
        clean.truncate(end);
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use authy_core::{Email, Secret, time};
    use proptest::prelude::*;

    use super::*;

    fn config() -> MailConfig {
        let validate_url = "https://auth.shop.example/authy/validate/{code}".parse().unwrap();
        MailConfig::new("The Shop <no-reply@shop.example>".parse().unwrap(), validate_url)
    }

    fn notification(kind: NotificationKind) -> Notification {
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

    fn mail(config: &MailConfig, notification: &Notification) -> String {
        String::from_utf8(config.compose(EventId::random(), notification).unwrap().formatted()).unwrap()
    }

    fn headers(mail: &str) -> Vec<&str> {
        let head = mail.split("\r\n\r\n").next().unwrap();
        head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).collect()
    }

    #[test]
    fn a_mail_has_the_headers_that_it_needs_and_no_others() {
        let (config, notification) = (config(), notification(NotificationKind::Validate));
        let mail = mail(&config, &notification);
        let names: Vec<&str> = headers(&mail).iter().map(|line| line.split_once(':').unwrap().0).collect();
        let expected =
            ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"];
        assert_eq!(names, expected, "{mail}");
        assert!(mail.contains("From: \"The Shop\" <no-reply@shop.example>\r\nTo: ada@example.org\r\n"), "{mail}");
    }

    #[test]
    fn a_sender_without_a_name_is_called_as_configured_or_by_the_address_in_the_links() {
        let from = || "no-reply@shop.example".parse().unwrap();
        let subject = |config: MailConfig| {
            let mail = mail(&config, &notification(NotificationKind::Validate));
            headers(&mail).into_iter().find(|line| line.starts_with("Subject: ")).unwrap().to_owned()
        };
        let unnamed = subject(config().from(from()));
        assert!(unnamed.contains("https://auth.shop.example") && !unnamed.contains("/authy"), "{unnamed}");
        let named = subject(config().from(from()).service("The market"));
        assert!(named.contains("The market"), "{named}");
        assert!(subject(config().service("The market")).contains("The Shop"));
    }

    #[test]
    fn an_international_domain_is_written_as_the_dns_has_it() {
        let mut notification = notification(NotificationKind::Reset);
        notification.to = "ada@bücher.example".parse().unwrap();
        assert!(mail(&config(), &notification).contains("To: ada@xn--bcher-kva.example\r\n"));
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
    fn an_invitation_has_the_name_to_log_in_with_and_no_other_mail_has() {
        for kind in NotificationKind::ALL {
            let mut notification = notification(*kind);
            notification.username = "ada.lovelace".parse().ok();
            let is_exact = mail(&config(), &notification).contains("ada.lovelace");
            assert_eq!(is_exact, *kind == NotificationKind::Invitation, "{kind:?}");
        }
    }

    #[test]
    fn an_international_sender_is_in_ascii_everywhere() {
        let mut config = config();
        config.from = "Büchers Laden <no-reply@Bücher.example>".parse().unwrap();
        let message = config.compose(EventId::random(), &notification(NotificationKind::Reset)).unwrap();
        let from = message.envelope().from().unwrap();
        assert_eq!(AsRef::<str>::as_ref(from), "no-reply@xn--bcher-kva.example");
        let mail = String::from_utf8(message.formatted()).unwrap();
        assert!(mail.is_ascii() && mail.contains("<no-reply@xn--bcher-kva.example>\r\n"), "{mail}");
        assert!(mail.contains(".reset@xn--bcher-kva.example>\r\n"), "{mail}");
    }

    #[test]
    fn an_address_that_no_mail_can_be_sent_to_is_final() {
        let mut notification = notification(NotificationKind::Reset);
        for stored in ["\"ann@home\"@example.org", "nowhere", "a@127.0.0.1"] {
            notification.to = serde_json::from_value(stored.into()).unwrap();
            assert!(config().compose(EventId::random(), &notification).unwrap_err().is_permanent(), "{stored}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_left_out_and_what_is_long_is_cut() {
        assert_eq!(clean("a\r\nb\u{202e}c\u{0}d\u{85}e\u{2028}f"), "abcdef");
        assert_eq!(clean(&"é".repeat(1000)).chars().count(), MAX_SHOWN_CHARS + 1);
    }

    proptest! {
        #[test]
        fn no_anonymous_caller_writes_a_header_or_a_tag(agent in ".{0,300}", line in "[\r\n:A-Za-z <>]{0,60}") {
            let config = config();
            let mut notification = notification(NotificationKind::PasswordChanged);
            let sound = headers(&mail(&config, &notification)).len();
            notification.user_agent = Some(format!("{agent}\r\nBcc: eve@example.org\r\n\r\n<script>{line}"));
            notification.ip = Some(line);
            let mail = mail(&config, &notification);
            prop_assert_eq!(headers(&mail).len(), sound, "{}", mail);
            let rendered = config.templates.render(notification.kind, |name| config.value(&notification, name)).unwrap();
            prop_assert!(!rendered.html.contains("<script"), "{}", rendered.html);
            prop_assert!(!rendered.text.contains("\nBcc"), "{}", rendered.text);
            prop_assert!(rendered.text.matches('\n').count() <= 9, "{}", rendered.text);
        }

        #[test]
        fn every_address_that_is_accepted_can_be_composed(
            text in "\\PC{1,20}@\\PC{1,12}\\.\\PC{2,6}", plain in "[a-zéñक्ि.+_'!-]{1,20}@[a-zü0-9क-]{1,9}\\.[a-zм]{2,5}",
        ) {
            let (config, mut notification) = (config(), notification(NotificationKind::Reset));
            for text in [text, plain] {
                let Ok(email) = text.parse::<Email>() else { continue };
                notification.to = email.clone();
                let message = config.compose(EventId::random(), &notification).unwrap();
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
            config.service = Some(subject);
            let notification = notification(NotificationKind::Reset);
            let mail = mail(&config, &notification);
            prop_assert_eq!(headers(&mail).len(), 8, "{}", mail);
        }
    }
}
