//! The mails that the settings ask for.

use std::path::PathBuf;

use authy_core::{engine::Builder, error::chain, http_url::HttpUrl};

#[cfg(feature = "ui")]
use crate::start::pages::page_url;
use crate::{
    config::{ListenAddress, Settings},
    link_template::{InvalidLinkTemplate, LinkTemplate},
    sink::{InvalidSender, MailConfig, MailFolderError, MailSink, Mailer, Sender, SmtpTlsError, SmtpUrl},
    start::reached_at::ReachedAt,
};

/// Settings of mails that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidMailSettings {
    #[error("with AUTHY_SMTP_URL a sender is required: set AUTHY_MAIL_FROM")]
    NoSender,
    #[error(
        "the links in mails need the URL at which users reach this server, and it listens on all addresses: set AUTHY_PUBLIC_URL, \
         such as https://auth.example.org"
    )]
    NoPublicUrl,
    #[error(transparent)]
    Tls(#[from] SmtpTlsError),
    #[error(transparent)]
    Folder(#[from] MailFolderError),
    #[error(transparent)]
    Sender(#[from] InvalidSender),
    #[error(transparent)]
    Link(#[from] InvalidLinkTemplate),
}

/// Returns the mail server and the sender; `None` without a mail server.
pub(super) fn server_of(settings: &Settings) -> Result<Option<(&SmtpUrl, &Sender)>, InvalidMailSettings> {
    let is_issuer_url = || settings.issuer.as_deref().is_some_and(|issuer| HttpUrl::parse_base(issuer).is_ok());
    let has_url = settings.public_url.is_some() || settings.validate_url.is_some() || is_issuer_url();
    match (&settings.smtp_url, &settings.mail_from) {
        (Some(_), Some(_)) if settings.listen.0.iter().any(ListenAddress::is_unspecified) && !has_url => {
            Err(InvalidMailSettings::NoPublicUrl)
        }
        (Some(url), Some(from)) => Ok(Some((url, from))),
        (Some(_), None) => Err(InvalidMailSettings::NoSender),
        (None, _) => Ok(None),
    }
}

/// Reads the templates again. Those that cannot be used leave the previous ones as they are.
pub(super) fn reload(settings: &Settings) -> bool {
    let Some(folder) = settings.mail_templates.folder() else { return false };
    let folder = folder.display();
    match settings.mail_templates.reload() {
        Ok(()) => tracing::info!(%folder, "SIGHUP: the templates of mails were read again"),
        Err(error) => {
            let error = chain(&error);
            tracing::error!(%folder, error, "SIGHUP: the templates of mails cannot be used, the previous ones stay");
        }
    }
    true
}

/// Returns the folder in which mails are files; `None` when they are sent, or mail is off.
pub(super) fn folder(settings: &Settings) -> Option<PathBuf> {
    let is_first_trial = settings.smtp_url.is_none() && settings.database_url.is_none();
    is_first_trial.then(|| settings.data_dir.join("mail"))
}

/// Mails go to the mail server that is configured; without one they are files in the data folder, unless the database
/// is configured: then the server is not a first trial, and mail is off.
pub(super) fn add(
    engine: Builder,
    settings: &Settings,
    reached_at: &ReachedAt,
) -> Result<Builder, InvalidMailSettings> {
    let (mailer, from) = match (server_of(settings)?, folder(settings)) {
        (Some((url, from)), _) => (Mailer::smtp_with_roots(url, &settings.roots())?, from.clone()),
        (None, Some(folder)) => {
            let from = settings.mail_from.clone().map_or_else(Sender::local, Ok)?;
            (Mailer::folder(&folder)?, from)
        }
        (None, None) => {
            tracing::warn!("mail is off: users cannot confirm an address or reset a password (AUTHY_SMTP_URL)");
            return Ok(engine);
        }
    };
    let public_url = &reached_at.public_url;
    let validate_url: LinkTemplate = match (&settings.validate_url, page(settings, reached_at, "/confirm/{code}")) {
        (Some(link), _) => link.clone(),
        (None, Some(page)) => page.parse()?,
        (None, None) => format!("{public_url}/authy/validate/{{code}}").parse()?,
    };
    let reset_url = match (&settings.reset_url, page(settings, reached_at, "/reset/{code}")) {
        (None, Some(page)) => Some(page.parse()?),
        (configured, _) => configured.clone(),
    };
    let service = settings.issuer.clone().unwrap_or_else(|| public_url.clone());
    let config = MailConfig::new(from, validate_url).service(service).templates(settings.mail_templates.clone());
    let config = match reset_url {
        Some(page) => config.reset_url(page),
        None => config,
    };
    Ok(engine.sink_with(|authy| Ok(MailSink::new(authy.clone(), mailer, config))))
}

/// Returns the URL of a page of this server; `None` when it has none.
#[cfg(feature = "ui")]
fn page(settings: &Settings, reached_at: &ReachedAt, path: &str) -> Option<String> {
    page_url(settings, reached_at, path)
}

#[cfg(not(feature = "ui"))]
fn page(_: &Settings, _: &ReachedAt, _: &str) -> Option<String> {
    None
}
