//! Sends requests and reads answers, within limits of time and size, with retries where they are safe.

use std::{error::Error as StdError, fmt, time::Duration};

use authy_core::{
    api::{Endpoint, Method, Problem, Reply},
    client_info::DEVICE_TOKEN,
    http_url::HttpUrl,
};
use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
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

use crate::{Error, Result};

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
    token: Option<HeaderValue>,
    /// The device token of an earlier login, for a login.
    pub(crate) device_token: Option<HeaderValue>,
}

impl PreparedRequest {
    /// Writes the call of an endpoint.
    pub(crate) fn new<E: Endpoint>(path: String, request: &E::Request, token: Option<HeaderValue>) -> Result<Self> {
        let unwritable =
            |cause: Box<dyn StdError + Send + Sync>| Error::misuse("the request cannot be written").because(cause);
        let method = E::INFO.method;
        let in_query = method == Method::GET || method == Method::DELETE;
        let has_fields = !<E::Request as authy_core::api::Request>::FIELDS.is_empty();
        let query = match in_query && has_fields {
            true => serde_urlencoded::to_string(request).map_err(|cause| unwritable(cause.into()))?,
            false => String::new(),
        };
        let body = match !in_query && has_fields {
            true => Some(serde_json::to_vec(request).map_err(|cause| unwritable(cause.into()))?.into()),
            false => None,
        };
        let path_and_query = if query.is_empty() { path } else { format!("{path}?{query}") };
        Ok(Self { method, path_and_query, body, token, device_token: None })
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
                Error::unexpected_response(head.status.as_u16(), why).because(cause)
            })?;
            read(head.status.as_u16(), &head.headers, &body.to_bytes())
        };
        timeout(self.timeout, answered)
            .await
            .unwrap_or_else(|_| Err(Error::no_response("the server did not answer in time", true)))
    }

    async fn send(&self, prepared: &PreparedRequest, accept: &'static str) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(&prepared.method)
            .uri(format!("{}{}", self.base, prepared.path_and_query))
            .header(USER_AGENT, CLIENT_USER_AGENT)
            .header(ACCEPT, accept);
        if let Some(token) = &prepared.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(token) = &prepared.device_token {
            request = request.header(DEVICE_TOKEN, token);
        }
        if prepared.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::from(prepared.body.clone().unwrap_or_default()))
            .map_err(|cause| Error::misuse("the request cannot be written").because(cause))?;
        self.pool.request(request).await.map_err(|cause| {
            let was_sent = !cause.is_connect();
            let why = if was_sent { "the connection broke" } else { "the server cannot be reached" };
            Error::no_response(why, was_sent).because(cause)
        })
    }

    /// Opens a stream of events.
    pub(crate) async fn events<E: Endpoint>(
        &self,
        request: &E::Request,
        token: Option<HeaderValue>,
    ) -> Result<Incoming> {
        let prepared = PreparedRequest::new::<E>(E::INFO.path.to_owned(), request, token)?;
        let opened = timeout(self.timeout, self.send(&prepared, "text/event-stream")).await;
        let response = opened.unwrap_or_else(|_| Err(Error::no_response("the server did not answer in time", true)))?;
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

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Reads an answer.
fn read<R: Reply>(status: u16, headers: &HeaderMap, body: &[u8]) -> Result<R> {
    if status == R::STATUS {
        // No content is an empty object.
        let json = if status == 204 { b"{}" } else { body };
        let reply = serde_json::from_slice(json).map(|reply: R| reply.cached(headers.get(CACHE_CONTROL)));
        return reply.map_err(|cause| {
            Error::unexpected_response(status, "the answer is not what this version expects").because(cause)
        });
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Err(Error::problem(Problem { status, ..problem }, wait.map(Duration::from_secs)))
        }
        Err(_) => Err(Error::unexpected_response(status, "the answer is not authy's")),
    }
}

#[cfg(test)]
mod tests {
    use authy_core::{
        ErrorKind,
        api::{Nothing, system::Status},
    };
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_problem_is_read_with_its_wait() {
        let error = authy_core::Error::new(ErrorKind::Overloaded, "a detail");
        let body = serde_json::to_vec(&Problem::of(&error, "some-id")).unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("3"))]);
        let error = read::<Status>(503, &headers, &body).unwrap_err();
        assert_eq!((error.kind(), error.status()), (Some(ErrorKind::Overloaded), Some(503)));
        assert_eq!((error.retry_after(), error.request_id()), (Some(Duration::from_secs(3)), Some("some-id")));
    }

    #[test]
    fn an_answer_that_is_not_from_authy_is_recognized() {
        for (status, body) in [(502, "<html>Bad Gateway</html>"), (200, "{}"), (301, ""), (204, "")] {
            let error = read::<Status>(status, &HeaderMap::new(), body.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.status()), (None, Some(status)));
            assert!(error.is_unavailable());
        }
        assert!(read::<Nothing>(204, &HeaderMap::new(), b"").is_ok());
    }

    proptest! {
        #[test]
        fn any_answer_is_read(status in 100..600_u16, body: Vec<u8>) {
            let _ = read::<Status>(status, &HeaderMap::new(), &body);
        }
    }
}
