//! A client that sends one request, once, and keeps what the answer says: without the retries that would hide a fault.

use std::time::Duration;

use bytes::Bytes;
use http::{
    Method, Request,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::Value;
use tokio::time::timeout;

/// How long a client waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// A client of one instance.
#[derive(Clone)]
pub(super) struct HttpClient {
    base: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) has_retry_after: bool,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_default().to_owned()
    }
}

/// A request, of which most parts are seldom needed.
#[derive(Default)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) token: Option<&'a str>,
    pub(super) request_id: String,
}

impl HttpClient {
    pub(super) fn new(base: String) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(8))
            // A request that is sent twice would be two operations.
            .retry_canceled_requests(false)
            .build_http();
        Self { base, pool }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, String> {
        let mut request = Request::builder().method(call.method).uri(format!("{}{}", self.base, call.path));
        request = request.header("x-request-id", call.request_id).header(CONTENT_TYPE, "application/json");
        if let Some(token) = call.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = call.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Full::new(body)).unwrap();
        let answered = async {
            let answer = self.pool.request(request).await.map_err(|error| chain(&error))?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| chain(&error))?.to_bytes();
            Ok(Answer {
                status: head.status.as_u16(),
                has_retry_after: head.headers.contains_key(RETRY_AFTER),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            })
        };
        timeout(PATIENCE, answered).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
