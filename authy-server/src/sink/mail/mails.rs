//! Mails in one line: by a mail server or into a folder, with links to the API where it is mounted.

use std::path::Path;

use authy_core::{
    Authy,
    http_url::{HttpUrl, InvalidHttpUrl},
};

use super::{
    MailSink,
    folder::MailFolderError,
    mailer::Mailer,
    message::MailConfig,
    sender::{InvalidSender, Sender},
    smtp::SmtpTlsError,
    smtp_url::InvalidSmtpUrl,
};
use crate::link_template::{InvalidLinkTemplate, LinkTemplate};

/// How mails are sent, and what they contain: what a [`MailSink`] needs, before there is an [`Authy`].
///
/// `public_url` is where browsers reach the API, such as `https://shop.example` for `https://shop.example/authy/…`. The
/// link that confirms an address leads to it.
///
/// ```no_run
/// use authy_core::engine::Builder;
/// use authy_server::sink::{InvalidMails, Mails};
///
/// fn with_mails(builder: Builder) -> Result<Builder, InvalidMails> {
///     let mails = Mails::smtp("smtps://user:password@mail.example", "Shop <no-reply@shop.example>", "https://shop.example")?;
///     Ok(builder.sink_with(|authy| Ok(mails.sink(authy))))
/// }
/// ```
#[derive(Debug)]
pub struct Mails {
    mailer: Mailer,
    config: MailConfig,
}

/// Mails that cannot be set up. The message never repeats the URL of the mail server, which may contain a password.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum InvalidMails {
    /// The URL of the mail server.
    #[error("the URL of the mail server is not valid: it {0}")]
    Smtp(#[from] InvalidSmtpUrl),
    /// The sender.
    #[error("the sender is not valid: it {0}")]
    Sender(#[from] InvalidSender),
    /// The public URL.
    #[error("the public URL is not valid: it {0}, without a query")]
    PublicUrl(#[from] InvalidHttpUrl),
    /// The public URL, for a link.
    #[error("the public URL is not valid for links: a link {0}")]
    Link(#[from] InvalidLinkTemplate),
    /// TLS to the mail server.
    #[error(transparent)]
    Tls(#[from] SmtpTlsError),
    /// The folder.
    #[error(transparent)]
    Folder(#[from] MailFolderError),
}

impl Mails {
    /// Mails that are sent by a mail server, such as `smtps://user:password@mail.example`, `smtp://mail.example?tls=required`
    /// (STARTTLS) or `smtp://localhost`, from a sender, such as `Shop <no-reply@shop.example>`.
    ///
    /// # Errors
    /// When a URL or the sender is not valid, or TLS cannot be set up.
    pub fn smtp(url: &str, from: &str, public_url: &str) -> Result<Self, InvalidMails> {
        Self::new(Mailer::smtp(&url.parse()?)?, from.parse()?, public_url)
    }

    /// Mails that are files in a folder, as in development. Each has its path in the log.
    ///
    /// # Errors
    /// When the URL is not valid, the folder cannot be created, or another user can replace files in it.
    pub fn folder(path: impl AsRef<Path>, public_url: &str) -> Result<Self, InvalidMails> {
        Self::new(Mailer::folder(path.as_ref())?, Sender::local()?, public_url)
    }

    /// Mails that a test reads.
    ///
    /// # Errors
    /// When the URL is not valid.
    #[cfg(feature = "test-util")]
    pub fn test(mailbox: &super::TestMailbox, public_url: &str) -> Result<Self, InvalidMails> {
        Self::new(Mailer::mailbox(mailbox.clone()), Sender::local()?, public_url)
    }

    fn new(mailer: Mailer, from: Sender, public_url: &str) -> Result<Self, InvalidMails> {
        let base = HttpUrl::parse_base(public_url)?;
        let validate_url: LinkTemplate = format!("{base}/authy/validate/{{code}}").parse()?;
        Ok(Self { mailer, config: MailConfig::new(from, validate_url) })
    }

    /// Changes the links, the texts, or what mails call the service.
    ///
    /// ```
    /// use authy_server::sink::Mails;
    ///
    /// # fn mails(folder: &std::path::Path) -> Result<Mails, Box<dyn std::error::Error>> {
    /// let reset = "https://shop.example/reset?code={code}".parse()?;
    /// let mails = Mails::folder(folder, "https://shop.example")?;
    /// Ok(mails.with(|config| config.reset_url(reset).service("The shop")))
    /// # }
    /// # mails(&tempfile::tempdir().unwrap().path().join("mail")).unwrap();
    /// ```
    #[must_use]
    pub fn with(self, change: impl FnOnce(MailConfig) -> MailConfig) -> Self {
        Self { config: change(self.config), ..self }
    }

    /// Returns the sink that sends the mails of the events of `authy`.
    pub fn sink(self, authy: &Authy) -> MailSink {
        MailSink::new(authy.clone(), self.mailer, self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_which_part_to_change_and_never_repeats_a_password() {
        let refused = |url, from, public_url| Mails::smtp(url, from, public_url).unwrap_err().to_string();
        let (smtp, from, public) = ("smtp://localhost", "a@shop.example", "https://shop.example");
        let why = refused("smtp://ada:hunter2@mail.example", from, public);
        assert!(why.starts_with("the URL of the mail server") && !why.contains("hunter2"), "{why}");
        assert!(refused(smtp, "Shop", public).starts_with("the sender is not valid: it must be"));
        for public in ["shop.example", "https://shop.example?", "https://shop.example/{code}", ""] {
            let why = refused(smtp, from, public);
            assert!(why.starts_with("the public URL is not valid: it must be"), "{public}: {why}");
        }
        assert!(Mails::smtp(smtp, from, "https://shop.example/sso/").is_ok());
    }
}
