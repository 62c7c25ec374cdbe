//! The paths of operations, beside the API: for load balancers, process managers and monitoring.
//!
//! They have no token, no limit, and no https: those who ask are on the network of the server, and ask all the time.

use std::net::IpAddr;

use authy_core::{Authy, Error, ErrorKind, api::Method};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::{Either, Full};
use serde::Serialize;

use crate::{
    error_reply::ErrorReply,
    listener::Listener,
    metrics::{self, Scrape},
    reply::Response,
};

mod readiness;

pub(crate) use readiness::Readiness;
#[cfg(feature = "cli")]
pub(crate) use readiness::ReadinessReport;

/// The path that says whether the server should get requests. The command `health` asks it.
pub(crate) const READINESS: &str = "/readyz";

/// A path of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Whether the process answers: 200 always.
    Liveness,
    /// Whether the server should get requests: 200 or 503, and why.
    Readiness,
    /// What the server counts, for Prometheus.
    Metrics,
}

impl Operation {
    pub(crate) const ALL: [Self; 3] = [Self::Liveness, Self::Readiness, Self::Metrics];

    /// Returns the path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Liveness => "/livez",
            Self::Readiness => READINESS,
            Self::Metrics => "/metrics",
        }
    }

    /// Returns the operation that a request may have. Metrics say how much is going on: without an admin listener, only programs on
    /// this machine may read them.
    pub(crate) fn find(listener: Listener, peer: IpAddr, head: &Parts) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|operation| operation.path() == head.uri.path())?;
        let may_read_metrics = || listener == Listener::Admin || metrics::is_local(peer, head);
        (listener.has_operations() && (found != Self::Metrics || may_read_metrics())).then_some(found)
    }

    /// Answers a request.
    pub(crate) async fn answer(
        self,
        head: &Parts,
        authy: &Authy,
        readiness: &Readiness,
        scrape: impl FnOnce() -> Scrape,
    ) -> Result<Response, ErrorReply> {
        if head.method != Method::GET && head.method != Method::HEAD {
            let wrong = ErrorReply::new(ErrorKind::MethodNotAllowed, "this path does not answer this method");
            return Err(wrong.with_header(ALLOW, HeaderValue::from_static("HEAD, GET")));
        }
        match self {
            Self::Liveness => json(StatusCode::OK, &serde_json::json!({ "live": true })),
            Self::Readiness => {
                let report = readiness.report(authy).await;
                json(if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &report)
            }
            Self::Metrics => Ok(metrics::answer(&head.headers, scrape())),
        }
    }
}

fn json(status: StatusCode, document: &impl Serialize) -> Result<Response, ErrorReply> {
    let body = serde_json::to_vec(document).map_err(|cause| {
        Error::with_source(ErrorKind::Internal, "a document of operations cannot be written", cause)
    })?;
    let mut response = Response::new(Either::Left(Full::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
