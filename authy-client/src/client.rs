//! The client: calls endpoints of one server, with a token or without.

use std::sync::Arc;

use async_trait::async_trait;
use authy_core::{
    Authenticator, ClientInfo, ErrorKind, Identity, Level, Secret,
    api::{
        Endpoint, Nothing, PathParams as _, Reply,
        session::{CheckAccess, Login},
    },
    claims::{MAX_TOKEN_LENGTH, dangerous_unverified_claims},
    client_info::{FORWARDED_FOR, REQUEST_ID},
};
use http::{HeaderMap, HeaderValue, header::USER_AGENT};

use crate::{
    Error, Result, trace_context,
    transport::{HttpTransport, PreparedRequest},
};

/// A client of one server. Cheap to clone; clones share their connections.
///
/// [`call`](Self::call) calls any endpoint, and each endpoint has a method with its name.
///
/// ```no_run
/// use authy_client::{Client, ErrorKind, Secret, api::session::Credentials};
///
/// # async fn call() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("https://auth.example.org").build()?;
/// match client.login(Credentials::new("ada", Secret::new("difference-engine-no-2"))).await {
///     Ok(tokens) => {
///         let me = client.with_token(tokens.token).get_self().await?;
///         println!("{} signed up on {}", me.username, me.created);
///     }
///     Err(error) if error.kind() == Some(ErrorKind::InvalidCredentials) => println!("wrong name or password"),
///     Err(error) if error.is_unavailable() => println!("later: {error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<HttpTransport>,
    token: Option<HeaderValue>,
    device_token: Option<HeaderValue>,
    /// What is said about the user on whose behalf this client calls.
    forwarded: Option<Arc<HeaderMap>>,
    /// The trace that its requests are a part of.
    trace: Option<Arc<HeaderMap>>,
}

impl Client {
    pub(crate) fn new(transport: HttpTransport) -> Self {
        Self { transport: Arc::new(transport), token: None, device_token: None, forwarded: None, trace: None }
    }

    /// Returns the client with an access token, which is sent with every call.
    #[must_use]
    pub fn with_token(&self, token: Secret) -> Self {
        // A text that a header cannot contain is not a token; the server refuses this one as well.
        let value =
            sensitive(format!("Bearer {}", token.expose())).unwrap_or(HeaderValue::from_static("Bearer invalid"));
        Self { token: Some(value), ..self.clone() }
    }

    /// Returns the client of a device that has logged in before: [`login`](Self::login) sends the
    /// [`device_token`](authy_core::api::session::Tokens::device_token) of an earlier login, so that password guesses
    /// from other devices do not delay it, and the account gets no mail about a new device. A program that logs in at each
    /// run keeps the token in a file: [`SessionBuilder::device_file`](crate::SessionBuilder::device_file).
    #[must_use]
    pub fn with_device_token(&self, token: &Secret) -> Self {
        // A text that a header cannot contain is not a device token, and is not sent.
        Self { device_token: sensitive(token.expose().to_owned()), ..self.clone() }
    }

    /// Returns the client of a program that calls for a user who sent it a request, such as a web server with a login
    /// form.
    ///
    /// Limits, events and the list of sessions then have the user's address, user agent and request ID instead of this
    /// program's, and a login has the user's device token. The server believes the address only when this program is
    /// one of its `AUTHY_TRUSTED_PROXIES`. What is `None` is not sent. [`Error::into_response`] passes a refusal on to
    /// the user.
    ///
    /// ```no_run
    /// use authy_client::{Client, ClientInfo, api::session::{Credentials, Tokens}};
    /// use http::HeaderMap;
    ///
    /// async fn log_in(
    ///     authy: &Client,
    ///     headers: &HeaderMap,
    ///     peer: std::net::IpAddr,
    ///     credentials: Credentials,
    /// ) -> authy_client::Result<Tokens> {
    ///     authy.on_behalf_of(ClientInfo::from_headers(headers, peer)).login(credentials).await
    /// }
    /// ```
    #[must_use]
    pub fn on_behalf_of(&self, user: ClientInfo) -> Self {
        let ClientInfo { ip, user_agent, request_id, device_token } = user;
        let texts = [(FORWARDED_FOR, ip.map(|ip| ip.to_string())), (USER_AGENT, user_agent), (REQUEST_ID, request_id)];
        // A text that a header cannot contain did not arrive in one either.
        let headers: HeaderMap =
            texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text?).ok()?))).collect();
        Self {
            transport: self.transport.clone(),
            token: self.token.clone(),
            device_token: device_token.and_then(|token| sensitive(token.expose().to_owned())),
            forwarded: (!headers.is_empty()).then(|| Arc::new(headers)),
            trace: self.trace.clone(),
        }
    }

    /// Returns the client whose requests are a part of a trace: they send the `traceparent` and `tracestate`
    /// ([W3C Trace Context](https://www.w3.org/TR/trace-context/)) in these headers, and no other of them.
    ///
    /// The headers are those of the request that this program answers, or what the propagator of a tracing library
    /// writes. With the feature `opentelemetry`, a client for which no trace is given sends that of the current span.
    ///
    /// ```no_run
    /// use authy_client::{Client, Level};
    /// use http::HeaderMap;
    ///
    /// async fn may_sell(authy: &Client, request: &HeaderMap) -> authy_client::Result<()> {
    ///     authy.with_trace_context(request).check_access(Level::clamped(10)).await.map(drop)
    /// }
    /// ```
    #[must_use]
    pub fn with_trace_context(&self, headers: &HeaderMap) -> Self {
        Self { trace: trace_context::of_headers(headers), ..self.clone() }
    }

    /// Calls an endpoint.
    ///
    /// A request is retried after a pause when that is safe: a GET that failed or was answered with a 5xx, and any
    /// request that the server has certainly not begun to execute, such as one that is answered with 429. The pause is
    /// at least as long as `Retry-After`. When that is longer than five seconds, or after
    /// [`retries`](crate::ClientBuilder::retries), the error is returned, with [`Error::retry_after`].
    ///
    /// # Errors
    /// The answer of the server when it is an error, or the reason why there is none: see [`Error`].
    pub async fn call<E: Endpoint>(&self, path: E::Path, request: E::Request) -> Result<E::Response> {
        self.send(PreparedRequest::new::<E>(path.fill(E::INFO.path), &request)?).await
    }

    pub(crate) async fn send<R: Reply>(&self, mut request: PreparedRequest) -> Result<R> {
        request.token = self.token.clone();
        request.forwarded = self.forwarded.clone();
        request.trace = self.trace.clone().or_else(trace_context::current);
        // No other endpoint reads it.
        request.device_token = self.device_token.clone().filter(|_| request.is_for(&Login::INFO));
        self.transport.send_with_retries(request).await
    }

    /// Returns the client of this program itself, without the device, the address and the trace of a user.
    pub(crate) fn without_user(&self) -> Self {
        Self { device_token: None, forwarded: None, trace: None, ..self.clone() }
    }

    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    pub(crate) fn url(&self) -> &str {
        self.transport.url()
    }

    pub(crate) fn transport(&self) -> &HttpTransport {
        &self.transport
    }
}

/// Asks the server about each token.
#[async_trait]
impl Authenticator for Client {
    async fn authenticate(&self, token: &str) -> authy_core::Result<Identity> {
        let invalid = || authy_core::Error::new(ErrorKind::InvalidToken, "the token is not valid");
        // A text that is not a token costs no request.
        let claims = dangerous_unverified_claims(token)?;
        if token.len() > MAX_TOKEN_LENGTH || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid());
        }
        let lowest = (Level::clamped(u32::MAX),);
        let asked = self.with_token(Secret::new(token)).call::<CheckAccess>(lowest, Nothing {}).await;
        let granted = asked.map_err(Error::into_authentication_error)?;
        // The server has accepted exactly this token, so its claims are true. An answer about another user could only
        // come from a proxy that mixes answers up.
        if granted.public_id != claims.public_id {
            return Err(invalid());
        }
        let identity = claims.into_identity();
        Ok(Identity { username: Some(granted.username), roles: Some(granted.roles), ..identity })
    }
}

/// Returns a header whose value `Debug` does not print; `None` for a text that a header cannot contain.
fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let client = Client::builder("http://localhost").build().unwrap().with_token(Secret::new("hunter2"));
        let client = client.with_device_token(&Secret::new("hunter2"));
        assert!(!format!("{client:?}").contains("hunter2"));
        let device_token = Some(Secret::new("hunter2"));
        let client = client.on_behalf_of(ClientInfo { device_token, ..ClientInfo::default() });
        assert!(client.device_token.is_some() && !format!("{client:?}").contains("hunter2"));
    }
}
