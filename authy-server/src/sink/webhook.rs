//! Notifies a service of each sign-up, with an access token of the new user that the service can use. The service may
//! be slow or down: the relay repeats a request until the answer is 201, or another status that counts.

use std::time::Duration;

use async_trait::async_trait;
use authy_core::{
    Authy, ClientInfo, Error, ErrorKind, EventId, Secret, UserId,
    api::event::{EventKind, EventView},
    engine::{Caller, Delivery, DeliveryError, Sink},
    time::unix_now,
    tls::Roots,
};
use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{CONTENT_TYPE, USER_AGENT},
};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio::time::timeout;
use tower_service::Service as _;

use crate::{
    outgoing,
    traces::{DeliverySpan, DeliveryTracer},
};

mod setting;
mod signature;

pub use setting::{InvalidWebhook, WebhookUrl};
pub use signature::WebhookSecrets;

/// Maximum time for opening a connection.
const WEBHOOK_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum time for an answer. The service takes many seconds by design, and the relay waits at most two minutes.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(100);

/// Maximum number of requests under way: enough that a few slow ones delay no others, few enough for a slow service.
const WEBHOOK_REQUESTS_IN_FLIGHT: usize = 16;

/// The user agent of the requests, and of the sessions of the tokens.
const WEBHOOK_USER_AGENT: &str = concat!("authy/", env!("CARGO_PKG_VERSION"), " (webhook)");

/// The sink `webhook`: sends a request for every sign-up.
///
/// ```
/// use authy_core::engine::Builder;
/// use authy_server::sink::{InvalidWebhook, Webhook, WebhookSecrets};
///
/// /// A secret is what `echo whsec_$(openssl rand -base64 32)` prints.
/// fn with_webhook(builder: Builder, secrets: &str) -> Result<Builder, InvalidWebhook> {
///     let url = "https://details.example/user".parse()?;
///     let secrets: WebhookSecrets = secrets.parse()?;
///     Ok(builder.sink_with(move |authy| Ok(Webhook::new(authy.clone(), url, secrets)?)))
/// }
/// ```
pub struct Webhook {
    authy: Authy,
    caller: Caller,
    url: WebhookUrl,
    secrets: WebhookSecrets,
    accepted: Vec<StatusCode>,
    give_up_after: Option<Duration>,
    timeout: Duration,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    tracer: DeliveryTracer,
}

impl Webhook {
    /// Sends the sign-ups of `authy` to `url`, signed with `secrets`.
    ///
    /// # Errors
    /// [`InvalidWebhook::Tls`] when the URL is https and this machine has no certificate authorities.
    pub fn new(authy: Authy, url: WebhookUrl, secrets: WebhookSecrets) -> Result<Self, InvalidWebhook> {
        Self::with_roots(authy, url, secrets, &Roots::platform())
    }

    /// Like [`new`](Self::new), with these certificate authorities in place of the platform's.
    ///
    /// # Errors
    /// [`InvalidWebhook::Tls`] when the URL is https and there are no authorities.
    pub fn with_roots(
        authy: Authy,
        url: WebhookUrl,
        secrets: WebhookSecrets,
        roots: &Roots,
    ) -> Result<Self, InvalidWebhook> {
        // A connection per request: they are rare, none fails because the receiver closed an idle connection, and no
        // answer has to be read to its end.
        let http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector(&url, roots)?);
        let caller =
            Caller::operator(ClientInfo { user_agent: Some(WEBHOOK_USER_AGENT.to_owned()), ..ClientInfo::default() });
        let (accepted, timeout, tracer) = (vec![StatusCode::CREATED], WEBHOOK_TIMEOUT, DeliveryTracer::new());
        Ok(Self { authy, caller, url, secrets, accepted, give_up_after: None, timeout, http, tracer })
    }

    /// Sets the maximum time for an answer; 100 seconds when not set.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the statuses of an answer that says that the service has its record of the user; 201 alone when not set.
    #[must_use]
    pub fn with_accepted(self, accepted: Vec<StatusCode>) -> Self {
        Self { accepted, ..self }
    }

    /// Sets the time, from the first failed attempt on, after which a sign-up is given up; never when not set.
    #[must_use]
    pub fn with_give_up_after(self, give_up_after: Option<Duration>) -> Self {
        Self { give_up_after, ..self }
    }

    /// Returns whether a status says that the service has its record of the user.
    fn accept(&self, status: StatusCode) -> Result<(), DeliveryError> {
        let reason = match *self.accepted {
            _ if self.accepted.contains(&status) => return Ok(()),
            [StatusCode::CREATED] => "the webhook did not answer 201",
            _ => "the webhook did not answer with an accepted status",
        };
        Err(DeliveryError::retryable(reason).with_source(status.to_string()))
    }

    /// Sends the request about an event, and returns the status of the answer.
    async fn send(&self, event: &EventView, span: &DeliverySpan) -> Result<StatusCode, DeliveryError> {
        let user = event.subject.ok_or(DeliveryError::permanent("the event names no user"))?;
        // Each attempt has its own token: the token of an earlier one may have expired.
        let token = self.authy.sessions().issue_token(&self.caller, user).await.map_err(no_token)?;
        let mut request = self.request(event.event_id, user, &token)?;
        for (name, value) in span.headers() {
            if let Ok(value) = HeaderValue::try_from(value) {
                request.headers_mut().insert(name, value);
            }
        }
        let answer = timeout(self.timeout, self.http.request(request)).await;
        let answer = answer.map_err(|_| DeliveryError::retryable("the webhook did not answer in time"))?;
        // The body is not read: it may be endless, and may contain the token.
        answer.map(|answer| answer.status()).map_err(|cause| match cause.is_connect() {
            true => DeliveryError::retryable("the webhook cannot be reached").with_source(cause),
            false => DeliveryError::retryable("the webhook gave no answer").with_source(cause),
        })
    }

    /// Writes the request about a user.
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
            .header(USER_AGENT, WEBHOOK_USER_AGENT)
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
    // The delivery status that is shown with a user is found by this name.
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn wants(&self, event: &EventView) -> bool {
        event.kind == EventKind::UserRegistered
    }

    fn shows_status(&self) -> bool {
        true
    }

    fn delivery(&self) -> Delivery {
        Delivery::PerSubject { in_flight: WEBHOOK_REQUESTS_IN_FLIGHT }
    }

    fn give_up_after(&self) -> Option<Duration> {
        self.give_up_after
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        let mut span = self.tracer.request(event, self.url.uri());
        let delivered = match self.send(event, &span).await {
            Ok(status) => {
                span.record_status(status);
                self.accept(status)
            }
            Err(error) => Err(error),
        };
        span.end(&delivered);
        delivered
    }
}

/// Returns why no token can be issued. When a deleted user is restored, an operator can retry the delivery.
fn no_token(error: Error) -> DeliveryError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::AlreadyDeleted => {
            DeliveryError::permanent("the user was deleted before the webhook was notified")
        }
        ErrorKind::NoRole => DeliveryError::retryable("the user has no role, and so there can be no token"),
        _ => DeliveryError::retryable("no token could be issued").with_source(error),
    }
}

impl WebhookUrl {
    /// Opens a connection to the receiver, with TLS when the URL is https, and closes it. Sends no request.
    ///
    /// # Errors
    /// When there is no connection, or the certificate of the receiver is not accepted.
    pub async fn check_connection(&self, roots: &Roots) -> Result<(), DeliveryError> {
        let unreachable = |cause| DeliveryError::retryable("the webhook cannot be reached").with_source(cause);
        let mut connector = connector(self, roots)
            .map_err(|error| DeliveryError::retryable("the webhook cannot be used").with_source(error))?;
        match timeout(WEBHOOK_CONNECT_TIMEOUT, connector.call(self.uri().clone())).await {
            Ok(connected) => connected.map(drop).map_err(unreachable),
            Err(_) => Err(DeliveryError::retryable("the webhook did not answer in time")),
        }
    }
}

/// Returns what opens connections to the receiver.
fn connector(url: &WebhookUrl, roots: &Roots) -> Result<HttpsConnector<HttpConnector>, InvalidWebhook> {
    outgoing::connector(url.is_https(), roots, WEBHOOK_CONNECT_TIMEOUT).map_err(InvalidWebhook::Tls)
}
