//! The paths of operations, beside the API: for load balancers, process managers and monitoring.
//!
//! They have no token, no limit, and no https: those who ask are on the network of the server, and ask all the time.

use authy_core::{Authy, Error, ErrorKind, api::Method};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::{Either, Full};
use serde::Serialize;

use crate::{error_reply::ErrorReply, reply::Response};

mod readiness;

pub(crate) use readiness::Readiness;
#[cfg(feature = "cli")]
pub(crate) use readiness::ReadinessReport;

/// The path that says whether the process answers.
const LIVENESS: &str = "/livez";

/// The path that says whether the server should get requests. The command `health` asks it.
pub(crate) const READINESS: &str = "/readyz";

/// A path of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Whether the process answers: 200 always.
    Liveness,
    /// Whether the server should get requests: 200 or 503, and why.
    Readiness,
}

impl Operation {
    /// Returns the operation at a path.
    pub(crate) fn find(path: &str) -> Option<Self> {
        match path {
            LIVENESS => Some(Operation::Liveness),
            READINESS => Some(Operation::Readiness),
            _ => None,
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(
        self,
        method: &Method,
        authy: &Authy,
        readiness: &Readiness,
    ) -> Result<Response, ErrorReply> {
        if method != Method::GET && method != Method::HEAD {
            let wrong = ErrorReply::new(ErrorKind::MethodNotAllowed, "this path does not answer this method");
            return Err(wrong.with_header(ALLOW, HeaderValue::from_static("HEAD, GET")));
        }
        match self {
            Operation::Liveness => json(StatusCode::OK, &serde_json::json!({ "live": true })),
            Operation::Readiness => {
                let report = readiness.report(authy).await;
                json(if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &report)
            }
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
