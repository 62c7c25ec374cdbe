//! Answers to requests that failed: problem documents (RFC 9457), and pages for people.

use std::{error::Error as _, time::Duration};

use authy_core::{
    Error, ErrorKind,
    api::{Problem, challenge, status},
    error::chain,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::{Either, Full};

use crate::{
    page,
    reply::{FullResponse, Response, whole_seconds},
};

/// An error that is about to be answered, with what only this occurrence has.
pub(crate) struct ErrorReply {
    error: Error,
    message: Option<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl From<Error> for ErrorReply {
    fn from(error: Error) -> Self {
        Self { error, message: None, header: None }
    }
}

impl ErrorReply {
    pub(crate) fn new(kind: ErrorKind, detail: &'static str) -> Self {
        Error::new(kind, detail).into()
    }

    /// Sets a message about this request. It is never logged, because it may quote the request.
    pub(crate) fn with_message(mut self, message: String) -> Self {
        self.message = Some(message);
        self
    }

    /// Sets a header of the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Logs the error, once, and returns its problem document. That of a server error says nothing about the cause.
    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let Self { error, message, header } = self;
        let status = status(error.kind());
        log(&error, status, request_id);
        let mut problem = Problem::of(&error, request_id);
        if let Some(message) = message.filter(|_| status.is_client_error()) {
            problem = problem.with_detail(message);
        }
        // A problem is made of strings and numbers, so writing it cannot fail.
        let mut response = FullResponse::new(Full::from(serde_json::to_vec(&problem).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.reserve(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        explain(&error, headers);
        headers.extend(header);
        response.map(Either::Left)
    }

    /// Logs the error, once, and returns a page about it.
    pub(crate) fn into_page(self, request_id: &str) -> Response {
        let status = status(self.error.kind());
        let Ok(mut response) = page::error_page(self.error.kind()).into_response(status) else {
            return self.into_response(request_id);
        };
        log(&self.error, status, request_id);
        explain(&self.error, response.headers_mut());
        response.headers_mut().extend(self.header);
        response.map(Either::Left)
    }
}

/// Adds the headers that say how to continue.
fn explain(error: &Error, headers: &mut HeaderMap) {
    if let Some(challenge) = challenge(error.kind()) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    // An answer that says "not now" says when, even where the time cannot be estimated.
    let wait = error.retry_after().or(error.is_unavailable().then_some(Duration::from_secs(1)));
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
}

fn log(error: &Error, status: StatusCode, request_id: &str) {
    let (kind, detail) = (error.kind().code(), error.detail());
    match status.as_u16() {
        503 => {
            tracing::warn!(request_id, kind, detail, cause = error.source().map(chain), "could not answer a request")
        }
        500.. => {
            tracing::error!(request_id, kind, detail, cause = error.source().map(chain), "failed to answer a request")
        }
        _ => tracing::debug!(request_id, kind, detail, "refused a request"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_error_tells_the_caller_nothing_about_its_cause() {
        let error = Error::with_source(ErrorKind::Internal, "a detail", "a cause");
        let response = ErrorReply::from(error).with_message("a message".to_owned()).into_response("id");
        let body = format!("{:?}", response.into_body());
        for word in ["a detail", "a cause", "a message"] {
            assert!(!body.contains(word), "{body}");
        }
        assert!(body.contains("id"));
    }
}
