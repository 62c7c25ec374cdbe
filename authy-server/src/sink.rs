//! The neighbours that are told of events, as the settings name them.

use std::sync::Arc;

use authy_core::{Authy, engine::Sink};

use crate::{config::Settings, start::Failure};

mod webhook;

pub use webhook::{InvalidWebhook, Webhook, WebhookSecrets, WebhookUrl};

/// That nothing is missing, before anything is started.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    webhook::required(settings).map(drop)
}

/// The sinks that are configured.
pub(crate) fn sinks(settings: &Settings, authy: &Authy) -> Result<Vec<Arc<dyn Sink>>, Failure> {
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    if let Some(webhook) = webhook::configured(settings, authy)? {
        sinks.push(Arc::new(webhook));
    }
    Ok(sinks)
}
