//! The webhook that the settings ask for.

use authy_core::engine::Builder;

use crate::{
    config::{AcceptedStatus, Settings},
    sink::{Webhook, WebhookSecrets, WebhookUrl},
};

/// A URL without a secret.
#[derive(Debug, thiserror::Error)]
#[error(
    "with AUTHY_WEBHOOK_URL a secret is required, which signs the requests to it: set AUTHY_WEBHOOK_SECRET or \
     AUTHY_WEBHOOK_SECRET_FILE to what `echo whsec_$(openssl rand -base64 32)` prints"
)]
pub(crate) struct NoWebhookSecret;

/// Returns the URL and the secrets; `None` without a URL.
pub(super) fn settings_of(settings: &Settings) -> Result<Option<(&WebhookUrl, &WebhookSecrets)>, NoWebhookSecret> {
    let Some(url) = &settings.webhook_url else { return Ok(None) };
    let secrets = settings.webhook_secret.as_ref().ok_or(NoWebhookSecret)?;
    Ok(Some((url, secrets)))
}

/// Adds the sink when there is a URL.
pub(super) fn add(engine: Builder, settings: &Settings) -> Result<Builder, NoWebhookSecret> {
    let Some((url, secrets)) = settings_of(settings)? else { return Ok(engine) };
    let (url, secrets, roots) = (url.clone(), secrets.clone(), settings.roots());
    let accepted = settings.webhook_accept.0.iter().map(|AcceptedStatus(status)| *status).collect();
    let give_up_after = settings.webhook_give_up;
    Ok(engine.sink_with(move |authy| {
        let webhook = Webhook::with_roots(authy.clone(), url, secrets, &roots)?;
        Ok(webhook.with_accepted(accepted).with_give_up_after(give_up_after))
    }))
}
