//! The webhook that the settings ask for.

use std::sync::Arc;

use authy_core::{Authy, engine::Sink};

use crate::{
    config::Settings,
    sink::{InvalidWebhook, Webhook, WebhookSecrets, WebhookUrl},
};

/// Settings of the webhook that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidWebhookSettings {
    #[error(
        "with AUTHY_WEBHOOK_URL a secret is required, which signs the requests to it: set AUTHY_WEBHOOK_SECRET or \
         AUTHY_WEBHOOK_SECRET_FILE to what `echo whsec_$(openssl rand -base64 32)` prints"
    )]
    NoSecret,
    #[error(transparent)]
    Webhook(#[from] InvalidWebhook),
}

/// Returns the URL and the secrets; `None` without a URL.
pub(super) fn settings_of(
    settings: &Settings,
) -> Result<Option<(&WebhookUrl, &WebhookSecrets)>, InvalidWebhookSettings> {
    let Some(url) = &settings.webhook_url else { return Ok(None) };
    let secrets = settings.webhook_secret.as_ref().ok_or(InvalidWebhookSettings::NoSecret)?;
    Ok(Some((url, secrets)))
}

/// Returns the sink; `None` without a URL.
pub(super) fn sink(settings: &Settings, authy: &Authy) -> Result<Option<Arc<dyn Sink>>, InvalidWebhookSettings> {
    let Some((url, secrets)) = settings_of(settings)? else { return Ok(None) };
    let webhook = Webhook::with_roots(authy.clone(), url.clone(), secrets.clone(), &settings.roots())?;
    Ok(Some(Arc::new(webhook)))
}
