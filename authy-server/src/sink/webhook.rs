//! The webhook: a service that keeps details of every user is told of each sign-up, and given a token of the new user's to ask
//! back with. It is slow and may be away; the relay repeats until it answers 201.

use std::time::Duration;

use async_trait::async_trait;
use authy_core::{
    Authy, Error, ErrorKind, EventId, Secret, UserId,
    api::event::{EventKind, EventView},
    engine::{Caller, ClientInfo, Delivery, DeliveryError, Sink},
    time::unix_now,
    tls::{self, Roots},
};
use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{CONTENT_TYPE, USER_AGENT},
};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio::time::timeout;

use crate::{config::Settings, start::Failure};

mod setting;
mod signature;

pub use setting::{InvalidWebhook, WebhookUrl};
pub use signature::WebhookSecrets;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the service may take to answer. It takes many seconds by design; the relay itself waits two minutes at most.
const PATIENCE: Duration = Duration::from_secs(100);

/// How many users it is told of at a time: enough that a few that hang are not noticed, few enough for a service that is slow.
const IN_FLIGHT: usize = 16;

/// What the requests and the sessions of the tokens say they are from.
const AGENT: &str = concat!("authy/", env!("CARGO_PKG_VERSION"), " (webhook)");

/// The sink of that name: tells a URL of every sign-up.
pub struct Webhook {
    authy: Authy,
    caller: Caller,
    url: WebhookUrl,
    secrets: WebhookSecrets,
    timeout: Duration,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Where the webhook is and what it knows us by, when there is one.
pub(super) fn required(settings: &Settings) -> Result<Option<(&WebhookUrl, &WebhookSecrets)>, Failure> {
    let Some(url) = &settings.webhook_url else { return Ok(None) };
    let secrets = settings.webhook_secret.as_ref().ok_or(
        "with AUTHY_WEBHOOK_URL a secret is required, which the receiver knows requests of this server by: set \
         AUTHY_WEBHOOK_SECRET or AUTHY_WEBHOOK_SECRET_FILE to what `echo whsec_$(openssl rand -base64 32)` prints",
    )?;
    Ok(Some((url, secrets)))
}

/// The webhook, when there is one.
pub(super) fn configured(settings: &Settings, authy: &Authy) -> Result<Option<Webhook>, Failure> {
    let Some((url, secrets)) = required(settings)? else { return Ok(None) };
    Ok(Some(Webhook::with_roots(authy.clone(), url.clone(), secrets.clone(), &settings.roots())?))
}

impl Webhook {
    /// Tells `url` of the sign-ups at `authy`, signed with `secrets`.
    ///
    /// # Errors
    /// When the URL is https and this machine has no certificates to verify the receiver's against.
    pub fn new(authy: Authy, url: WebhookUrl, secrets: WebhookSecrets) -> Result<Self, InvalidWebhook> {
        Self::with_roots(authy, url, secrets, &Roots::platform())
    }

    /// Like [`new`](Self::new), but verifies the receiver with these certificate authorities, instead of the platform's.
    ///
    /// # Errors
    /// When the URL is https and there are no authorities.
    pub fn with_roots(
        authy: Authy,
        url: WebhookUrl,
        secrets: WebhookSecrets,
        roots: &Roots,
    ) -> Result<Self, InvalidWebhook> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls(&url, roots)?).https_or_http().enable_http1();
        // A connection for each: they are rare, none fails because the receiver closed an idle one, and no answer has to be
        // read to its end.
        let http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector.wrap_connector(tcp));
        let caller = Caller::operator(ClientInfo { user_agent: Some(AGENT.to_owned()), ..ClientInfo::default() });
        Ok(Self { authy, caller, url, secrets, timeout: PATIENCE, http })
    }

    /// The same, with so much time for the receiver to answer instead of 100 seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The request that tells of a user.
    fn request(&self, event: EventId, user: UserId, token: &Secret) -> Result<Request<Full<Bytes>>, DeliveryError> {
        let unwritable =
            |cause: http::Error| DeliveryError::retryable("the request cannot be written").with_source(cause);
        let body = json!({ "public_id": user }).to_string();
        let id = event.to_string();
        let now = unix_now();
        let mut token = HeaderValue::from_str(token.expose()).map_err(|cause| unwritable(cause.into()))?;
        token.set_sensitive(true);
        Request::post(self.url.uri())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("x-access-token", token)
            .header("webhook-signature", self.secrets.sign(&id, now, &body))
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .body(Full::from(body))
            .map_err(unwritable)
    }
}

#[async_trait]
impl Sink for Webhook {
    // What is shown with a user is found by this name too.
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn wants(&self, event: &EventView) -> bool {
        event.kind == EventKind::UserRegistered.as_str()
    }

    fn shows_status(&self) -> bool {
        true
    }

    fn delivery(&self) -> Delivery {
        Delivery::PerSubject { in_flight: IN_FLIGHT }
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        let user = event.subject.ok_or(DeliveryError::permanent("nobody signed up"))?;
        // Each attempt has a token of its own: by the next one this one may be over.
        let token = self.authy.sessions().issue_token(&self.caller, user).await.map_err(no_token)?;
        let request = self.request(event.event_id, user, &token)?;
        let answer = timeout(self.timeout, self.http.request(request)).await;
        let answer = answer.map_err(|_| DeliveryError::retryable("the webhook did not answer in time"))?;
        // The body is not read: there may be no end to it, and a token in it.
        match answer.map(|answer| answer.status()) {
            Ok(StatusCode::CREATED) => Ok(()),
            Ok(status) => {
                Err(DeliveryError::retryable("the webhook did not answer 201").with_source(status.to_string()))
            }
            Err(cause) if cause.is_connect() => {
                Err(DeliveryError::retryable("the webhook cannot be reached").with_source(cause))
            }
            Err(cause) => Err(DeliveryError::retryable("the webhook gave no answer").with_source(cause)),
        }
    }
}

/// Why there is nothing to tell. Should the user come back, an operator can have it tried again.
fn no_token(error: Error) -> DeliveryError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::AlreadyDeleted => {
            DeliveryError::permanent("the user was deleted before the webhook had taken it")
        }
        ErrorKind::NoRole => DeliveryError::retryable("the user has no role, and so there can be no token"),
        _ => DeliveryError::retryable("no token could be issued").with_source(error),
    }
}

/// Verifies the receiver when the URL is https.
fn tls(url: &WebhookUrl, roots: &Roots) -> Result<rustls::ClientConfig, InvalidWebhook> {
    let config = if url.is_https() { roots.client_config() } else { tls::without_roots() };
    config.map_err(InvalidWebhook::Tls)
}
