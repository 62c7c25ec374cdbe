//! Answers to requests that succeeded.

use std::error::Error as _;

use authy_core::{
    Error, Result,
    api::{Reply, success},
    error::chain,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use http_body_util::{BodyExt as _, Either, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;

/// An answer whose body is complete: it has a length, and is written at once.
pub(crate) type FullResponse = http::Response<Full<Bytes>>;

/// The body of an answer: complete, or written while it is sent.
pub type ResponseBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Error>>;

/// Any answer.
pub(crate) type Response = http::Response<ResponseBody>;

/// Returns the answer of an endpoint.
pub(crate) fn success<R: Reply>(reply: &R) -> Result<FullResponse> {
    Ok(success::response(reply)?.map(Full::from))
}

/// Returns an answer that is written while it is sent. An error ends the connection, so that an incomplete answer is
/// not taken for a complete one.
pub(crate) fn chunked<R: Reply>(chunks: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Response {
    // The chunks are written after the request was answered.
    let span = tracing::Span::current();
    let frames = chunks.map(move |chunk| {
        if let Err(error) = &chunk {
            let _entered = span.enter();
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

/// Returns an answer with its entity tag, or 304 when the request names that tag (RFC 9110, section 13.1.2).
pub(crate) fn tagged(body: Bytes, etag: &str, request: &HeaderMap) -> FullResponse {
    let mut response = FullResponse::default();
    let headers = response.headers_mut();
    // Caches may keep it, and ask before each use.
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

/// Returns the answer to OPTIONS.
pub(crate) fn options(allow: &HeaderValue) -> Response {
    let mut response = FullResponse::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow.clone());
    response.map(Either::Left)
}
