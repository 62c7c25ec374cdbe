//! The sinks that the settings ask for.

use std::sync::Arc;

use authy_core::{Authy, engine::Sink};

use crate::{
    config::Settings,
    sink::{
        Amqp, InvalidLinkTemplate, InvalidSender, InvalidWebhook, LinkTemplate, LogSink, MailConfig, MailFolderError,
        MailSink, Mailer, Sender, SmtpTlsError, SmtpUrl, Webhook, WebhookSecrets, WebhookUrl,
    },
};

/// Settings of sinks that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidSinks {
    #[error(
        "with AUTHY_WEBHOOK_URL a secret is required, which signs the requests to it: set AUTHY_WEBHOOK_SECRET or \
         AUTHY_WEBHOOK_SECRET_FILE to what `echo whsec_$(openssl rand -base64 32)` prints"
    )]
    NoWebhookSecret,
    #[error("with AUTHY_SMTP_URL a sender is required: set AUTHY_MAIL_FROM")]
    NoSender,
    #[error(transparent)]
    Webhook(#[from] InvalidWebhook),
    #[error(transparent)]
    SmtpTls(#[from] SmtpTlsError),
    #[error(transparent)]
    MailFolder(#[from] MailFolderError),
    #[error(transparent)]
    Sender(#[from] InvalidSender),
    #[error(transparent)]
    Link(#[from] InvalidLinkTemplate),
}

/// Refuses settings that do not go together, before anything has been started.
pub(super) fn check(settings: &Settings) -> Result<(), InvalidSinks> {
    webhook_settings(settings)?;
    smtp_settings(settings)?;
    Ok(())
}

/// Returns the sinks that are configured. `public_url` is where users reach this server.
pub(super) fn sinks(settings: &Settings, authy: &Authy, public_url: &str) -> Result<Vec<Arc<dyn Sink>>, InvalidSinks> {
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    if settings.log_events {
        sinks.push(Arc::new(LogSink));
    }
    if let Some(url) = &settings.amqp_url {
        sinks.push(Arc::new(Amqp::new(url.clone()).with_roots(settings.roots())));
    }
    if let Some(mail) = mail(settings, authy, public_url)? {
        sinks.push(Arc::new(mail));
    }
    if let Some((url, secrets)) = webhook_settings(settings)? {
        let webhook = Webhook::with_roots(authy.clone(), url.clone(), secrets.clone(), &settings.roots())?;
        sinks.push(Arc::new(webhook));
    }
    Ok(sinks)
}

fn webhook_settings(settings: &Settings) -> Result<Option<(&WebhookUrl, &WebhookSecrets)>, InvalidSinks> {
    let Some(url) = &settings.webhook_url else { return Ok(None) };
    let secrets = settings.webhook_secret.as_ref().ok_or(InvalidSinks::NoWebhookSecret)?;
    Ok(Some((url, secrets)))
}

fn smtp_settings(settings: &Settings) -> Result<Option<(&SmtpUrl, &Sender)>, InvalidSinks> {
    match (&settings.smtp_url, &settings.mail_from) {
        (Some(url), Some(from)) => Ok(Some((url, from))),
        (Some(_), None) => Err(InvalidSinks::NoSender),
        (None, _) => Ok(None),
    }
}

/// Mails go to the mail server that is configured; without one they are files in the data folder, unless the database
/// is configured: then the server is not a first trial, and mail is off.
fn mail(settings: &Settings, authy: &Authy, public_url: &str) -> Result<Option<MailSink>, InvalidSinks> {
    let (mailer, from) = match smtp_settings(settings)? {
        Some((url, from)) => (Mailer::smtp_with_roots(url, &settings.roots())?, from.clone()),
        None if settings.database_url.is_some() => {
            tracing::warn!("mail is off: users cannot confirm an address or reset a password (AUTHY_SMTP_URL)");
            return Ok(None);
        }
        None => {
            let from = settings.mail_from.clone().map_or_else(Sender::local, Ok)?;
            (Mailer::folder(&settings.data_dir.join("mail"))?, from)
        }
    };
    let validate_url: LinkTemplate = match &settings.validate_url {
        Some(link) => link.clone(),
        None => format!("{public_url}/authy/validate/{{code}}").parse()?,
    };
    let service = settings.issuer.clone().unwrap_or_else(|| public_url.to_owned());
    let (reset_url, templates) = (settings.reset_url.clone(), settings.mail_templates.clone());
    let config = MailConfig { from, service, validate_url, reset_url, templates };
    Ok(Some(MailSink::new(authy.clone(), mailer, config)))
}
