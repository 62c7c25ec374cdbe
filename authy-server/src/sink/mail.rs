//! Mail: what users are told of what happened to their accounts.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use authy_core::{
    Authy, EventId,
    api::event::EventView,
    engine::{Caller, ClientInfo, Delivery, DeliveryError, Notification, NotificationKind, Sink},
    time,
    tls::Roots,
};

use crate::{config::Settings, start::Failure};

mod agent;
mod folder;
mod link;
mod message;
mod refusal;
mod smtp;
mod template;

pub use link::{InvalidLink, Link, PublicUrl};
pub use message::{InvalidSender, Sender};
pub use smtp::{InvalidSmtpUrl, SmtpUrl};
pub use template::Templates;

use folder::Folder;
use smtp::SmtpServer;

/// How many letters are on their way at a time: few mail servers like more connections of one client.
const IN_FLIGHT: usize = 4;

/// How old what a mail tells of may be when it is tried for the last time (RFC 5321, section 4.5.4.1): a notice that nobody can
/// take would hold up all later mails of its user for ever. Every code has expired by then.
const GIVE_UP: Duration = Duration::from_secs(4 * 24 * 3600);

/// Of how many events it is remembered which of their letters are done.
const REMEMBERED: usize = 1000;

/// What mails look like.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// Whom they are from.
    pub from: Sender,
    /// What the service is called, when the sender has no name.
    pub service: String,
    /// The page that confirms an address.
    pub validate_url: Link,
    /// The page on which a new password is chosen; without it the mail gives the code itself.
    pub reset_url: Option<Link>,
    /// Their texts.
    pub templates: Templates,
}

/// Who takes mails.
#[derive(Debug)]
pub struct Post(Way);

#[derive(Debug)]
enum Way {
    Smtp(Box<SmtpServer>),
    Folder(Folder),
}

impl Post {
    /// Sends to a mail server, verified with the platform's certificate authorities.
    ///
    /// # Errors
    /// As [`smtp_with_roots`](Self::smtp_with_roots).
    pub fn smtp(url: &SmtpUrl) -> Result<Self, Failure> {
        Self::smtp_with_roots(url, &Roots::platform())
    }

    /// Sends to a mail server, verified with these certificate authorities.
    ///
    /// # Errors
    /// When there are no authorities, and the URL requires TLS.
    pub fn smtp_with_roots(url: &SmtpUrl, roots: &Roots) -> Result<Self, Failure> {
        Ok(Self(Way::Smtp(Box::new(SmtpServer::new(url, roots)?))))
    }

    /// A folder in which every mail is a file, for want of a mail server.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(path: &std::path::Path) -> Result<Self, Failure> {
        Ok(Self(Way::Folder(Folder::new(path)?)))
    }
}

/// Sends users the letters that events give rise to.
pub struct MailSink {
    authy: Authy,
    post: Post,
    config: MailConfig,
    /// What has become of the letters of events that are told again because of another letter: nobody is told twice because
    /// somebody else's mailbox is full.
    done: Mutex<HashMap<EventId, HashMap<NotificationKind, Done>>>,
}

/// What has become of a letter.
#[derive(Clone, Debug)]
enum Done {
    Sent,
    Refused(String),
}

impl MailSink {
    /// A sink that writes of what happens at `authy`.
    pub fn new(authy: Authy, post: Post, config: MailConfig) -> Self {
        Self { authy, post, config, done: Mutex::default() }
    }

    async fn send(&self, event: EventId, letter: &Notification) -> Result<(), DeliveryError> {
        let message = self.config.compose(event, letter)?;
        match &self.post.0 {
            Way::Smtp(server) => server.send(message.envelope(), &message.formatted()).await,
            Way::Folder(folder) => {
                let name = format!("{event}.{}.eml", letter.kind.as_str());
                let path = folder.write(&name, message.formatted()).await?;
                tracing::info!(path = %path.display(), "no mail server is configured: the mail is in a file");
                Ok(())
            }
        }
    }

    fn recall(&self, event: EventId) -> HashMap<NotificationKind, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).remove(&event).unwrap_or_default()
    }

    fn remember(&self, event: EventId, done: HashMap<NotificationKind, Done>) {
        let mut remembered = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            // An operator has given up on most of these; to forget one that is still told costs a repetition.
            remembered.clear();
        }
        if !done.is_empty() {
            remembered.insert(event, done);
        }
    }
}

#[async_trait]
impl Sink for MailSink {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn wants(&self, event: &EventView) -> bool {
        NotificationKind::may_come_of(event)
    }

    fn delivery(&self) -> Delivery {
        Delivery::PerSubject { in_flight: IN_FLIGHT }
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        let id = event.event_id;
        let letters = self.authy.deliveries().list_notifications(&Caller::operator(ClientInfo::default()), event).await;
        let letters = letters.map_err(|error| {
            DeliveryError::retryable("the mails that an event needs cannot be read").with_source(error)
        })?;
        let mut done = self.recall(id);
        let (mut waiting, is_old) = (None, event.happened < time::now() - GIVE_UP);
        let open: Vec<&Notification> = letters.iter().filter(|letter| !done.contains_key(&letter.kind)).collect();
        for letter in open {
            match self.send(id, letter).await {
                Ok(()) => drop(done.insert(letter.kind, Done::Sent)),
                Err(refused) if refused.is_permanent() || is_old => {
                    let reason = refused.describe();
                    tracing::warn!(event = %id, letter = letter.kind.as_str(), reason, "a mail was refused for good");
                    done.insert(letter.kind, Done::Refused(reason));
                }
                // A code waits for the notice before it: else whoever asked for a new address could confirm it before the
                // owner of the old one hears, who would then be told nothing any more.
                Err(later) => {
                    waiting = Some(later);
                    break;
                }
            }
        }
        if let Some(later) = waiting {
            self.remember(id, done);
            return Err(later);
        }
        // What counts is the last one: a notice that nobody reads any more does not make a code less useful.
        match letters.last().and_then(|letter| done.remove(&letter.kind)) {
            Some(Done::Refused(reason)) => Err(DeliveryError::permanent("the mail was refused").with_source(reason)),
            Some(Done::Sent) | None => Ok(()),
        }
    }
}

/// The mail server that is configured, and whom mails are from.
fn server(settings: &Settings) -> Result<Option<(&SmtpUrl, &Sender)>, Failure> {
    match (&settings.smtp_url, &settings.mail_from) {
        (Some(url), Some(from)) => Ok(Some((url, from))),
        (Some(_), None) => Err("with AUTHY_SMTP_URL a sender is required: set AUTHY_MAIL_FROM".into()),
        (None, _) => Ok(None),
    }
}

/// Refuses settings that do not go together, before anything has been started.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    server(settings).map(drop)
}

/// The sink that is configured, if any.
pub(super) fn of_settings(settings: &Settings, authy: &Authy, public_url: &str) -> Result<Option<MailSink>, Failure> {
    let (post, from) = match server(settings)? {
        Some((url, from)) => (Post::smtp_with_roots(url, &settings.roots())?, from.clone()),
        None if settings.database_url.is_some() => {
            tracing::warn!("mail is off: nobody can confirm an address or reset a password (AUTHY_SMTP_URL)");
            return Ok(None);
        }
        None => {
            let from = settings.mail_from.clone().map_or_else(Sender::nobody, Ok)?;
            (Post::folder(&settings.data_dir.join("mail"))?, from)
        }
    };
    let validate_url = match &settings.validate_url {
        Some(link) => link.clone(),
        None => format!("{public_url}/authy/validate/{{code}}").parse()?,
    };
    let service = settings.issuer.clone().unwrap_or_else(|| public_url.to_owned());
    let (reset_url, templates) = (settings.reset_url.clone(), settings.mail_templates.clone());
    let config = MailConfig { from, service, validate_url, reset_url, templates };
    Ok(Some(MailSink::new(authy.clone(), post, config)))
}
