//! What goes back to the caller: answers, problem documents, and the one match from an error's kind to a status.

use std::{borrow::Cow, error::Error as StdError, time::Duration};

use authy_core::{
    Error, ErrorKind, Result,
    api::{Problem, Reply, challenge, status},
    error::chain,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt as _, Either, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;

use crate::page;

/// An answer whose body is known in full, so it has a length and goes out in one piece: all but the streams.
pub(crate) type Whole = http::Response<Full<Bytes>>;

/// Any answer.
pub(crate) type Response = http::Response<Either<Full<Bytes>, UnsyncBoxBody<Bytes, Error>>>;

/// The answer when all went well.
pub(crate) fn success<R: Reply>(reply: &R) -> Result<Whole> {
    let mut response = Whole::default();
    *response.status_mut() = StatusCode::from_u16(R::STATUS).unwrap_or_default();
    let headers = response.headers_mut();
    // Room for these and for what the service adds to every answer.
    headers.reserve(8);
    let cache = match reply.cache() {
        Cow::Borrowed(cache) => HeaderValue::from_static(cache),
        Cow::Owned(cache) => HeaderValue::try_from(cache).unwrap_or(HeaderValue::from_static("no-store")),
    };
    headers.insert(CACHE_CONTROL, cache);
    if let Some(location) = reply.location().and_then(|location| HeaderValue::try_from(location).ok()) {
        headers.insert(LOCATION, location);
    }
    if R::STATUS != 204 {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut body = Vec::with_capacity(256);
        serde_json::to_writer(&mut body, reply)
            .map_err(|cause| Error::with_source(ErrorKind::Internal, "an answer cannot be written", cause))?;
        *response.body_mut() = Full::from(body);
    }
    Ok(response)
}

/// An answer that is written while it is sent. An error ends the connection, so that nobody takes what came for all of it.
pub(crate) fn chunked<R: Reply>(chunks: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Response {
    let frames = chunks.map(|chunk| {
        if let Err(error) = &chunk {
            let (kind, detail) = (error.kind().code(), error.detail());
            tracing::warn!(kind, detail, cause = error.source().map(chain), "a response was aborted");
        }
        chunk.map(Frame::data)
    });
    let mut response = Response::new(Either::Right(StreamBody::new(frames).boxed_unsync()));
    *response.status_mut() = StatusCode::from_u16(R::STATUS).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(R::CACHE));
    response
}

/// An answer that is ready, with its entity tag; 304 for somebody who has it (RFC 9110, section 13.1.2).
pub(crate) fn tagged(body: Bytes, etag: &str, request: &HeaderMap) -> Whole {
    let mut response = Whole::default();
    let headers = response.headers_mut();
    // To be kept, and asked for again before it is used.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, etag);
    }
    let is_known = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|known| {
        let mut tags = known.split(',').map(str::trim);
        // Compared weakly, as If-None-Match is.
        tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag.trim_start_matches("W/"))
    });
    match is_known {
        true => *response.status_mut() = StatusCode::NOT_MODIFIED,
        false => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *response.body_mut() = Full::from(body);
        }
    }
    response
}

/// The answer to OPTIONS.
pub(crate) fn options(allow: &HeaderValue) -> Response {
    let mut response = Whole::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow.clone());
    response.map(Either::Left)
}

/// An error on its way out, with what only this occurrence has.
pub(crate) struct Failure {
    error: Error,
    message: Option<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, message: None, header: None }
    }
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, detail: &'static str) -> Self {
        Error::new(kind, detail).into()
    }

    /// What the caller did wrong, in words that only this request has. Never logged: they may quote it.
    pub(crate) fn saying(mut self, message: String) -> Self {
        self.message = Some(message);
        self
    }

    /// A header that belongs to this failure.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Logs the error, once, and makes its problem document. A server's error says nothing about its cause.
    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let Self { error, message, header } = self;
        let status = status(error.kind());
        log(&error, status, request_id);
        let mut problem = Problem::of(&error, request_id);
        if let Some(message) = message.filter(|_| status.is_client_error()) {
            problem.message = message;
        }
        // A problem is made of strings and numbers, so writing it cannot fail.
        let mut response = Whole::new(Full::from(serde_json::to_vec(&problem).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.reserve(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        explain(&error, headers);
        headers.extend(header);
        response.map(Either::Left)
    }
}

impl Failure {
    /// Logs the error, once, and makes a page of it for a person.
    pub(crate) fn into_page(self, request_id: &str) -> Response {
        let status = status(self.error.kind());
        let Ok(mut response) = page::of_error(self.error.kind()).into_response(status) else {
            return self.into_response(request_id);
        };
        log(&self.error, status, request_id);
        explain(&self.error, response.headers_mut());
        response.headers_mut().extend(self.header);
        response.map(Either::Left)
    }
}

fn explain(error: &Error, headers: &mut HeaderMap) {
    if let Some(challenge) = challenge(error.kind()) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    // Whoever is told "not now" is told when, even where nobody could estimate it.
    let wait = error.wait().or(error.is_unavailable().then_some(Duration::from_secs(1)));
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
}

/// At least a second, and rather too long than too short.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
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
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let seconds = [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (2500, 3)];
        for (milliseconds, expected) in seconds {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), expected, "{milliseconds} ms");
        }
    }

    #[test]
    fn a_server_error_tells_the_caller_nothing_about_its_cause() {
        let error = Error::with_source(ErrorKind::Internal, "a detail", "a cause");
        let response = Failure::from(error).saying("a message".to_owned()).into_response("id");
        let body = format!("{:?}", response.into_body());
        for word in ["a detail", "a cause", "a message"] {
            assert!(!body.contains(word), "{body}");
        }
        assert!(body.contains("id"));
    }
}
