//! The sinks that the settings ask for.

use std::path::PathBuf;

use authy_core::engine::Builder;

use super::reached_at::ReachedAt;
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
    Webhook(#[from] webhook::NoWebhookSecret),
}

/// Refuses settings that do not go together.
type Check = fn(&Settings) -> Result<(), InvalidSinks>;

const CHECKS: &[Check] = &[
    #[cfg(feature = "webhook")]
    |settings| Ok(webhook::settings_of(settings).map(drop)?),
    #[cfg(feature = "mail")]
    |settings| Ok(mail::server_of(settings).map(drop)?),
];

/// Adds a sink when the settings ask for it.
type Add = fn(Builder, &Settings, &ReachedAt) -> Result<Builder, InvalidSinks>;

const SINKS: &[Add] = &[
    |engine, settings, _| Ok(if settings.log_events { engine.sink(LogSink) } else { engine }),
    #[cfg(feature = "amqp")]
    |engine, settings, _| {
        let Some(url) = &settings.amqp_url else { return Ok(engine) };
        Ok(engine.sink(crate::sink::Amqp::new(url.clone()).with_roots(settings.roots())))
    },
    #[cfg(feature = "mail")]
    |engine, settings, reached_at| Ok(mail::add(engine, settings, reached_at)?),
    #[cfg(feature = "webhook")]
    |engine, settings, _| Ok(webhook::add(engine, settings)?),
];

/// Reads files of a sink again. Returns whether there are any.
type Reload = fn(&Settings) -> bool;

const RELOADS: &[Reload] = &[
    #[cfg(feature = "mail")]
    mail::reload,
];

/// Reads the files again that may change while the server runs, and logs which; also when there are none, and no others.
pub(super) fn reload(settings: &Settings, has_others: bool) {
    let read = RELOADS.iter().filter(|reload| reload(settings)).count();
    if read == 0 && !has_others {
        tracing::info!("SIGHUP: there is no file to read again; settings apply from the next start");
    }
}

/// Refuses settings that do not go together, before anything has been started.
pub(super) fn check(settings: &Settings) -> Result<(), InvalidSinks> {
    CHECKS.iter().try_for_each(|check| check(settings))
}

/// Returns why settings do not go together, for each sink that cannot be used.
pub(crate) fn problems(settings: &Settings) -> Vec<InvalidSinks> {
    CHECKS.iter().filter_map(|check| check(settings).err()).collect()
}

/// Adds the sinks that are configured.
pub(super) fn add(engine: Builder, settings: &Settings, reached_at: &ReachedAt) -> Result<Builder, InvalidSinks> {
    SINKS.iter().try_fold(engine, |engine, add| add(engine, settings, reached_at))
}

/// Returns the folder in which mails are files; `None` when they are sent, or mail is off.
#[cfg(feature = "mail")]
pub(super) fn mail_folder(settings: &Settings) -> Option<PathBuf> {
    mail::folder(settings)
}

/// Returns the folder in which mails are files: none, in a program that was built without mail.
#[cfg(not(feature = "mail"))]
pub(super) fn mail_folder(_: &Settings) -> Option<PathBuf> {
    None
}
