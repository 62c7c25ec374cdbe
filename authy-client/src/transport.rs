//! Sends requests and reads answers, within limits of time and size, with retries where they are safe.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use authy_core::{
    api::{Endpoint, Info, Method, Reply},
    client_info::DEVICE_TOKEN,
    http_url::HttpUrl,
};
use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use tokio::time::{sleep, timeout};

use crate::{Error, Result, response};

/// Maximum time for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum size of an answer in bytes: a larger one is not authy's.
const RESPONSE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// Maximum pause before a retry. A server that asks for a longer one is not asked again.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(5);

const CLIENT_USER_AGENT: &str = concat!("authy-client/", env!("CARGO_PKG_VERSION"));

/// The connections to one server.
pub(crate) struct HttpTransport {
    url: HttpUrl,
    /// What paths are appended to: the URL with the host in ASCII, without a slash at its end.
    base: String,
    timeout: Duration,
    retries: usize,
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A request that can be sent several times.
pub(crate) struct PreparedRequest {
    method: Method,
    path_and_query: String,
    body: Option<Bytes>,
    pub(crate) token: Option<HeaderValue>,
    /// The device token of an earlier login, for a login.
    pub(crate) device_token: Option<HeaderValue>,
    /// What is said about the user on whose behalf it is sent.
    pub(crate) forwarded: Option<Arc<HeaderMap>>,
    /// The trace that it is a part of.
    pub(crate) trace: Option<Arc<HeaderMap>>,
}

impl PreparedRequest {
    /// Writes the call of an endpoint.
    pub(crate) fn new<E: Endpoint>(path: String, request: &E::Request) -> Result<Self> {
        let method = E::INFO.method;
        let in_query = method == Method::GET || method == Method::DELETE;
        let has_fields = !<E::Request as authy_core::api::Request>::FIELDS.is_empty();
        let query = match in_query && has_fields {
            true => serde_urlencoded::to_string(request).map_err(unwritable)?,
            false => String::new(),
        };
        let body = match !in_query && has_fields {
            true => Some(serde_json::to_vec(request).map_err(unwritable)?.into()),
            false => None,
        };
        let path_and_query = if query.is_empty() { path } else { format!("{path}?{query}") };
        Ok(Self { method, path_and_query, body, token: None, device_token: None, forwarded: None, trace: None })
    }

    /// Writes a GET.
    pub(crate) fn get(path_and_query: String) -> Self {
        let method = Method::GET;
        Self { method, path_and_query, body: None, token: None, device_token: None, forwarded: None, trace: None }
    }

    /// Returns whether this is a request of an endpoint without parameters in its path.
    pub(crate) fn is_for(&self, endpoint: &Info) -> bool {
        self.method == endpoint.method && self.path_and_query == endpoint.path
    }

    /// Returns whether the request is idempotent.
    fn is_idempotent(&self) -> bool {
        self.method == Method::GET
    }
}

impl HttpTransport {
    pub(crate) fn new(url: HttpUrl, timeout: Duration, retries: usize, mut tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        // The connector decides which versions are offered.
        tls.alpn_protocols.clear();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let connector = connector.https_or_http().enable_all_versions().wrap_connector(tcp);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Shorter than the server keeps an idle connection, so that the server hardly ever closes one that is in
            // use.
            .pool_idle_timeout(Duration::from_secs(8))
            .build(connector);
        let base = url.uri().to_string().trim_end_matches('/').to_owned();
        Self { url, base, timeout, retries, pool }
    }

    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Sends a request, again after a failure when that is safe, and returns the answer.
    pub(crate) async fn send_with_retries<R: Reply>(&self, request: PreparedRequest) -> Result<R> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(MAX_RETRY_PAUSE)
            .with_max_times(self.retries)
            .with_jitter();
        let may_retry = |error: &Error| match request.is_idempotent() {
            true => error.is_unavailable() || error.was_turned_away(),
            false => error.was_turned_away() || (error.is_unavailable() && !error.may_have_been_sent()),
        };
        (|| self.send_once(&request))
            .retry(pauses)
            .sleep(sleep)
            .when(may_retry)
            .adjust(|error: &Error, pause| match error.retry_after() {
                Some(wait) => pause.filter(|_| wait <= MAX_RETRY_PAUSE).map(|pause| pause.max(wait)),
                None => pause,
            })
            .await
    }

    async fn send_once<R: Reply>(&self, request: &PreparedRequest) -> Result<R> {
        let answered = async {
            let response = self.send(request, "application/json").await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, RESPONSE_LIMIT_BYTES).collect().await.map_err(|cause| {
                let why =
                    if cause.is::<LengthLimitError>() { "the answer is too large" } else { "the answer broke off" };
                Error::unexpected_response(head.status.as_u16(), why).with_source(cause)
            })?;
            response::read(head.status.as_u16(), &head.headers, &body.to_bytes())
        };
        timeout(self.timeout, answered).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    fn timed_out(&self) -> Error {
        Error::no_response(format!("{} did not answer in time", self.url), true)
    }

    async fn send(&self, prepared: &PreparedRequest, accept: &'static str) -> Result<Response<Incoming>> {
        let request =
            Request::builder().method(&prepared.method).uri(format!("{}{}", self.base, prepared.path_and_query));
        let mut request = request.body(Full::from(prepared.body.clone().unwrap_or_default())).map_err(unwritable)?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(CLIENT_USER_AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if prepared.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        // What is said about a user replaces what this client says about itself.
        for (name, value) in prepared.forwarded.iter().flat_map(|forwarded| forwarded.iter()) {
            headers.insert(name, value.clone());
        }
        for (name, value) in prepared.trace.iter().flat_map(|trace| trace.iter()) {
            headers.append(name, value.clone());
        }
        if let Some(token) = &prepared.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        if let Some(token) = &prepared.device_token {
            headers.insert(DEVICE_TOKEN, token.clone());
        }
        self.pool.request(request).await.map_err(|cause| {
            let was_sent = !cause.is_connect();
            let url = &self.url;
            let why = match was_sent {
                true => format!("the connection to {url} broke"),
                false => format!("{url} cannot be reached"),
            };
            Error::no_response(why, was_sent).with_source(cause)
        })
    }

    /// Opens a stream of events.
    pub(crate) async fn events<E: Endpoint>(
        &self,
        request: &E::Request,
        token: Option<HeaderValue>,
    ) -> Result<Incoming> {
        let mut prepared = PreparedRequest::new::<E>(E::INFO.path.to_owned(), request)?;
        prepared.token = token;
        let opened = timeout(self.timeout, self.send(&prepared, "text/event-stream")).await;
        let response = opened.unwrap_or_else(|_| Err(self.timed_out()))?;
        let is_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        match response.status().is_success() && is_stream {
            true => Ok(response.into_body()),
            false => {
                Err(Error::unexpected_response(response.status().as_u16(), "the server opens no stream of events"))
            }
        }
    }
}

fn unwritable(cause: impl StdError + Send + Sync + 'static) -> Error {
    Error::misuse("the request cannot be written").with_source(cause)
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}
