//! Mail to users: one-time codes, and notices of what happened to their accounts.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use authy_core::{
    Authy, ClientInfo, EventId,
    api::event::{EventKind, EventView},
    engine::{Caller, Delivery, DeliveryError, Notification, NotificationKind, Sink},
    time,
};

mod folder;
mod line_stream;
#[cfg(feature = "test-util")]
mod mailbox;
mod mailer;
mod mails;
mod message;
mod noticed;
mod refused_party;
mod sender;
mod smtp;
mod smtp_url;
mod template;

pub use folder::MailFolderError;
#[cfg(feature = "test-util")]
pub use mailbox::{TestMail, TestMailbox};
pub use mailer::Mailer;
pub use mails::{InvalidMails, Mails};
pub use message::MailConfig;
pub use sender::{InvalidSender, Sender};
pub use smtp::SmtpTlsError;
pub use smtp_url::{InvalidSmtpUrl, SmtpUrl};
pub use template::{InvalidTemplate, Templates};

use noticed::NoticedDevices;

/// Maximum number of mails that are being sent: few mail servers accept more connections from one client.
const MAILS_IN_FLIGHT: usize = 4;

/// Age of an event at which its mails are tried for the last time (RFC 5321, section 4.5.4.1): a notice that cannot be
/// delivered would delay all later mails of its user. Every code but that of an invitation has expired by then, and an
/// administrator can send another invitation.
const MAIL_EXPIRY: Duration = Duration::from_secs(4 * 24 * 3600);

/// Maximum number of events whose finished mails are remembered.
const REMEMBERED_EVENTS: usize = 1000;

/// Sends users the mails that events require. [`Mails`] makes one.
///
/// ```
/// use authy_core::engine::Builder;
/// use authy_server::sink::{InvalidMails, Mails};
///
/// /// Writes mails into a folder, as in development. With a mail server: `Mails::smtp`.
/// fn with_mails(builder: Builder) -> Result<Builder, InvalidMails> {
///     let mails = Mails::folder("mail", "https://shop.example")?;
///     Ok(builder.sink_with(|authy| Ok(mails.sink(authy))))
/// }
/// ```
pub struct MailSink {
    authy: Authy,
    mailer: Mailer,
    config: MailConfig,
    /// The finished mails of events that are delivered again because of another mail: a full mailbox of one recipient
    /// does not make another recipient get a mail twice.
    finished: Mutex<HashMap<EventId, HashMap<NotificationKind, MailOutcome>>>,
    noticed: NoticedDevices,
}

/// How the delivery of a mail ended.
#[derive(Clone, Debug)]
enum MailOutcome {
    Sent,
    Refused(String),
}

impl MailSink {
    /// Creates a sink that sends the mails of the events of `authy`.
    pub fn new(authy: Authy, mailer: Mailer, config: MailConfig) -> Self {
        Self { authy, mailer, config, finished: Mutex::default(), noticed: NoticedDevices::new() }
    }

    /// Returns whether the owner needs no mail about a login, because of an earlier one.
    fn is_noticed(&self, event: &EventView) -> bool {
        event.kind == EventKind::SessionOpened && self.noticed.is_settled(event)
    }

    fn take_finished(&self, event: EventId) -> HashMap<NotificationKind, MailOutcome> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).remove(&event).unwrap_or_default()
    }

    fn remember_finished(&self, event: EventId, outcomes: HashMap<NotificationKind, MailOutcome>) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        if finished.len() >= REMEMBERED_EVENTS {
            // Most of these were given up by an operator. An event that is still retried sends a finished mail once
            // more.
            finished.clear();
        }
        if !outcomes.is_empty() {
            finished.insert(event, outcomes);
        }
    }
}

#[async_trait]
impl Sink for MailSink {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn wants(&self, event: &EventView) -> bool {
        NotificationKind::may_come_of(event) && !self.is_noticed(event)
    }

    fn delivery(&self) -> Delivery {
        Delivery::PerSubject { in_flight: MAILS_IN_FLIGHT }
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        let id = event.event_id;
        if self.is_noticed(event) {
            return Ok(());
        }
        let notifications =
            self.authy.deliveries().list_notifications(&Caller::operator(ClientInfo::default()), event).await;
        let notifications = notifications.map_err(|error| {
            DeliveryError::retryable("the mails that an event needs cannot be read").with_source(error)
        })?;
        let mut finished = self.take_finished(id);
        let (mut waiting, is_old) = (None, event.happened < time::now() - MAIL_EXPIRY);
        let unfinished: Vec<&Notification> =
            notifications.iter().filter(|notification| !finished.contains_key(&notification.kind)).collect();
        for notification in unfinished {
            match self.mailer.send(&self.config, id, notification).await {
                Ok(()) => drop(finished.insert(notification.kind, MailOutcome::Sent)),
                Err(refused) if refused.is_permanent() || is_old => {
                    let reason = refused.describe();
                    tracing::warn!(event = %id, notification = notification.kind.as_str(), reason, "a mail was refused permanently");
                    finished.insert(notification.kind, MailOutcome::Refused(reason));
                }
                // A code waits for the notice before it. Otherwise the new address could be confirmed before the notice
                // reaches the owner of the old one, and then the notice would no longer be sent.
                Err(later) => {
                    waiting = Some(later);
                    break;
                }
            }
        }
        if let Some(later) = waiting {
            self.remember_finished(id, finished);
            return Err(later);
        }
        if event.kind == EventKind::SessionOpened {
            self.noticed.settle(event);
        }
        // The last mail decides: a notice that was refused does not make a code that was sent a failure.
        match notifications.last().and_then(|notification| finished.remove(&notification.kind)) {
            Some(MailOutcome::Refused(reason)) => {
                Err(DeliveryError::permanent("the mail was refused").with_source(reason))
            }
            Some(MailOutcome::Sent) | None => Ok(()),
        }
    }
}
