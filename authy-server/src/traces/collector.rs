//! Sends spans to the collector: the HTTP client of the exporter.

use std::time::Duration;

use async_trait::async_trait;
use authy_core::tls::{Roots, TlsError};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::{runtime::Handle, time::timeout};

use crate::outgoing;

/// Maximum size of an answer in bytes: a collector answers a few, or why it refuses something.
const ANSWER_BYTES: usize = 64 * 1024;

/// The connections to the collector.
#[derive(Debug)]
pub(super) struct CollectorClient {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    runtime: Handle,
}

impl CollectorClient {
    /// Creates a client whose requests the current runtime sends, because the thread that exports has none.
    pub(super) fn new(roots: &Roots, is_https: bool, timeout: Duration) -> Result<Self, TlsError> {
        let http = Client::builder(TokioExecutor::new()).build(outgoing::connector(is_https, roots, timeout)?);
        Ok(Self { http, timeout, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, limit) = (self.http.clone(), self.timeout);
        let answered = async move {
            let (head, body) = http.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The timer needs the runtime already when it is made.
        let answered = self.runtime.spawn(async move { timeout(limit, answered).await }).await?;
        let answered = answered.unwrap_or_else(|_| Err("it did not answer in time".into()));
        // The library logs that spans are lost, and not why.
        answered.inspect_err(|error| {
            let error = authy_core::error::chain(&**error);
            tracing::warn!(%error, "the collector of traces cannot be reached");
        })
    }
}
