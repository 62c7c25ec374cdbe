//! The neighbours that are told of events, as the settings name them.

use std::sync::Arc;

use authy_core::{Authy, engine::Sink};

use crate::{config::Settings, start::Failure};

mod amqp;
mod log;
mod mail;
mod webhook;

pub use amqp::{Amqp, AmqpUrl, InvalidAmqpUrl};
pub(crate) use amqp::{EXCHANGE, QUEUE};
pub use mail::{
    InvalidLink, InvalidSender, InvalidSmtpUrl, Link, MailConfig, MailSink, Post, PublicUrl, Sender, SmtpUrl, Templates,
};
pub use webhook::{InvalidWebhook, Webhook, WebhookSecrets, WebhookUrl};

/// Refuses settings that do not go together, before anything has been started.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    webhook::required(settings)?;
    mail::check(settings)
}

/// The sinks that are configured. `public_url` is where people reach this server.
pub(crate) fn sinks(settings: &Settings, authy: &Authy, public_url: &str) -> Result<Vec<Arc<dyn Sink>>, Failure> {
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    if settings.log_events {
        sinks.push(Arc::new(log::LogSink));
    }
    if let Some(url) = &settings.amqp_url {
        sinks.push(Arc::new(Amqp::new(url.clone()).roots(settings.roots())));
    }
    if let Some(mail) = mail::of_settings(settings, authy, public_url)? {
        sinks.push(Arc::new(mail));
    }
    if let Some(webhook) = webhook::configured(settings, authy)? {
        sinks.push(Arc::new(webhook));
    }
    Ok(sinks)
}
