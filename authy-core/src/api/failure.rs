//! The responses to requests that failed: a problem document, the headers that say how to continue, and the log entry
//! with the cause, which the caller does not get.

use std::{error::Error as _, time::Duration};

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::problem::{Problem, challenge, status};
use crate::{Error, error::chain};

/// The headers that a server adds to every response fit in without growing the map.
const HEADERS: usize = 8;

/// Logs an error, and returns the response: a problem document (RFC 9457) with the status of the error.
///
/// `message` is about this request, and takes the place of the error's own. It is not logged, because it may quote the
/// request. The document of a server error has neither.
pub fn response(error: &Error, request_id: &str, message: Option<String>) -> Response<Vec<u8>> {
    log(error, request_id);
    let mut problem = Problem::of(error, request_id);
    if let Some(message) = message.filter(|_| status(error.kind()).is_client_error()) {
        problem = problem.with_detail(message);
    }
    let mut response = document(&problem);
    add_headers(error, response.headers_mut());
    response
}

/// Returns a problem document as a response with its status, without the headers that say how to continue.
pub fn document(problem: &Problem) -> Response<Vec<u8>> {
    // A problem is made of strings and numbers, so writing it cannot fail.
    let mut response = Response::new(serde_json::to_vec(problem).unwrap_or_default());
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Adds the headers that say how to continue: `WWW-Authenticate` and `Retry-After`.
pub fn add_headers(error: &Error, headers: &mut HeaderMap) {
    if let Some(challenge) = challenge(error.kind()) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    // A response that says "not now" says when, even where the time cannot be estimated.
    let wait = error.retry_after().or(error.is_unavailable().then_some(Duration::from_secs(1)));
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
}

/// Logs an error under the ID of its request: a server error as a warning or an error, a refusal at debug level.
pub fn log(error: &Error, request_id: &str) {
    let (kind, detail) = (error.kind().code(), error.detail());
    match status(error.kind()) {
        StatusCode::SERVICE_UNAVAILABLE => {
            tracing::warn!(request_id, kind, detail, cause = error.source().map(chain), "could not answer a request")
        }
        status if status.is_server_error() => {
            tracing::error!(request_id, kind, detail, cause = error.source().map(chain), "failed to answer a request")
        }
        _ => tracing::debug!(request_id, kind, detail, "refused a request"),
    }
}

/// Returns a time in seconds, rounded up, at least 1: as `Retry-After` has it.
pub fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_server_error_tells_the_caller_nothing_about_its_cause() {
        let error = Error::with_source(ErrorKind::Internal, "a detail", "a cause");
        let body = String::from_utf8(response(&error, "id", Some("a message".to_owned())).into_body()).unwrap();
        for word in ["a detail", "a cause", "a message"] {
            assert!(!body.contains(word), "{body}");
        }
        assert!(body.contains("\"id\""), "{body}");
    }

    #[test]
    fn the_wait_of_a_response_is_that_of_its_error() {
        let wait = |error: &Error| response(error, "", None).headers().get(RETRY_AFTER).cloned();
        let unavailable = Error::new(ErrorKind::Unavailable, "the database is away");
        assert_eq!(wait(&unavailable).unwrap(), "1");
        assert_eq!(wait(&unavailable.with_retry_after(Duration::from_millis(2500))).unwrap(), "3");
        assert_eq!(wait(&Error::new(ErrorKind::InvalidToken, "expired")), None);
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let seconds = [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (2500, 3)];
        for (milliseconds, expected) in seconds {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), expected, "{milliseconds} ms");
        }
    }
}
