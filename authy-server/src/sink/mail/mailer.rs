//! What mails are handed to: a mail server, or a folder in which every mail is a file.

use std::path::Path;

use authy_core::{
    EventId,
    engine::{DeliveryError, Notification},
    tls::Roots,
};

use super::{
    folder::{MailFolder, MailFolderError},
    message::MailConfig,
    smtp::{SmtpServer, SmtpTlsError},
    smtp_url::SmtpUrl,
};

/// Sends mails.
#[derive(Debug)]
pub struct Mailer(MailTransport);

#[derive(Debug)]
enum MailTransport {
    Smtp(Box<SmtpServer>),
    Folder(MailFolder),
    #[cfg(feature = "test-util")]
    Mailbox(super::TestMailbox),
}

impl Mailer {
    /// Sends to a mail server, verified with the platform's certificate authorities.
    ///
    /// # Errors
    /// As [`smtp_with_roots`](Self::smtp_with_roots).
    pub fn smtp(url: &SmtpUrl) -> Result<Self, SmtpTlsError> {
        Self::smtp_with_roots(url, &Roots::platform())
    }

    /// Sends to a mail server, verified with these certificate authorities.
    ///
    /// # Errors
    /// When the URL requires TLS and there are no authorities, or the TLS library refuses one of them.
    pub fn smtp_with_roots(url: &SmtpUrl, roots: &Roots) -> Result<Self, SmtpTlsError> {
        Ok(Self(MailTransport::Smtp(Box::new(SmtpServer::new(url, roots)?))))
    }

    /// Writes every mail into a file of a folder, for a server without a mail server.
    ///
    /// # Errors
    /// When the folder cannot be created, or another user can replace files in it.
    pub fn folder(path: &Path) -> Result<Self, MailFolderError> {
        Ok(Self(MailTransport::Folder(MailFolder::new(path)?)))
    }

    /// Connects to the mail server as for a mail, with TLS and the login that its URL asks for, and sends none. Does
    /// nothing for a folder.
    ///
    /// # Errors
    /// When there is no connection, or the mail server does not accept the login.
    pub async fn check(&self) -> Result<(), DeliveryError> {
        match &self.0 {
            MailTransport::Smtp(server) => server.check().await,
            MailTransport::Folder(_) => Ok(()),
            #[cfg(feature = "test-util")]
            MailTransport::Mailbox(_) => Ok(()),
        }
    }

    /// Hands mails to a test.
    #[cfg(feature = "test-util")]
    pub(super) fn mailbox(mailbox: super::TestMailbox) -> Self {
        Self(MailTransport::Mailbox(mailbox))
    }

    /// Sends the mail of a notification. One that is sent again has the same name, so it replaces the file of the first attempt.
    pub(super) async fn send(
        &self,
        config: &MailConfig,
        event: EventId,
        notification: &Notification,
    ) -> Result<(), DeliveryError> {
        let message = config.compose(event, notification)?;
        let name = format!("{event}.{}", notification.kind.as_str());
        match &self.0 {
            MailTransport::Smtp(server) => server.send(message.envelope(), &message.formatted()).await,
            MailTransport::Folder(folder) => {
                let path = folder.write(&format!("{name}.eml"), message.formatted()).await?;
                tracing::info!(path = %path.display(), "no mail server is configured: the mail is in a file");
                Ok(())
            }
            #[cfg(feature = "test-util")]
            MailTransport::Mailbox(mailbox) => {
                mailbox.receive(name, config.test_mail(notification)?);
                Ok(())
            }
        }
    }
}
