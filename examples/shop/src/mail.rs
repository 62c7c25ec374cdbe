//! The mails that authy sends for the shop: by a mail server, or into a folder.

use std::{error::Error as StdError, path::Path};

use authy_core::Authy;
use authy_server::sink::{MailConfig, MailSink, Mailer, Sender, Templates};

/// How mails are sent, and from whom.
pub struct Mail {
    mailer: Mailer,
    from: Sender,
}

impl Mail {
    /// Sends mails by a mail server, such as `smtps://user:password@mail.example`, and from a sender, such as
    /// `Shop <no-reply@shop.example>`.
    ///
    /// # Errors
    /// When the URL or the sender is not valid, or TLS cannot be set up.
    pub fn smtp(url: &str, from: &str) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        Ok(Self { mailer: Mailer::smtp(&url.parse()?)?, from: from.parse()? })
    }

    /// Writes each mail into a file of a folder, which is created when it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be created, or another user can replace files in it.
    pub fn folder(path: &Path) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        Ok(Self { mailer: Mailer::folder(path)?, from: Sender::local()? })
    }

    /// Returns the sink that sends the mails. Their links lead to authy's own page, which is mounted in the shop at `url`.
    pub(crate) fn into_sink(self, authy: &Authy, url: &str) -> Result<MailSink, Box<dyn StdError + Send + Sync>> {
        let config = MailConfig {
            from: self.from,
            service: "The shop".to_owned(),
            validate_url: format!("{url}/authy/validate/{{code}}").parse()?,
            reset_url: None,
            templates: Templates::load(None)?,
        };
        Ok(MailSink::new(authy.clone(), self.mailer, config))
    }
}
