//! The sinks that the settings ask for.

use std::sync::Arc;

use authy_core::{Authy, engine::Sink};

use crate::{config::Settings, sink::LogSink};

#[cfg(feature = "mail")]
mod mail;
#[cfg(feature = "webhook")]
mod webhook;

/// Settings of sinks that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidSinks {
    #[cfg(feature = "mail")]
    #[error(transparent)]
    Mail(#[from] mail::InvalidMailSettings),
    #[cfg(feature = "webhook")]
    #[error(transparent)]
    Webhook(#[from] webhook::InvalidWebhookSettings),
}

/// Refuses settings that do not go together.
type Check = fn(&Settings) -> Result<(), InvalidSinks>;

const CHECKS: &[Check] = &[
    #[cfg(feature = "webhook")]
    |settings| Ok(webhook::settings_of(settings).map(drop)?),
    #[cfg(feature = "mail")]
    |settings| Ok(mail::server_of(settings).map(drop)?),
];

/// Returns a sink; `None` when the settings do not ask for it. The text is the URL where users reach this server.
type Make = fn(&Settings, &Authy, &str) -> Result<Option<Arc<dyn Sink>>, InvalidSinks>;

const SINKS: &[Make] = &[
    |settings, _, _| Ok(settings.log_events.then(|| Arc::new(LogSink) as _)),
    #[cfg(feature = "amqp")]
    |settings, _, _| {
        let amqp = |url: &crate::sink::AmqpUrl| crate::sink::Amqp::new(url.clone()).with_roots(settings.roots());
        Ok(settings.amqp_url.as_ref().map(|url| Arc::new(amqp(url)) as _))
    },
    #[cfg(feature = "mail")]
    |settings, authy, public_url| Ok(mail::sink(settings, authy, public_url)?),
    #[cfg(feature = "webhook")]
    |settings, authy, _| Ok(webhook::sink(settings, authy)?),
];

/// Refuses settings that do not go together, before anything has been started.
pub(super) fn check(settings: &Settings) -> Result<(), InvalidSinks> {
    CHECKS.iter().try_for_each(|check| check(settings))
}

/// Returns the sinks that are configured. `public_url` is where users reach this server.
pub(super) fn sinks(settings: &Settings, authy: &Authy, public_url: &str) -> Result<Vec<Arc<dyn Sink>>, InvalidSinks> {
    SINKS.iter().filter_map(|make| make(settings, authy, public_url).transpose()).collect()
}
