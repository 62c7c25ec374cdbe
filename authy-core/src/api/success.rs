//! The responses to requests that succeeded: the status, the headers and the JSON of a [`Reply`].

use std::borrow::Cow;

use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION},
};

use super::Reply;
use crate::{Error, ErrorKind, Result};

/// The headers of a response, and those that a server adds to every response, fit in without growing the map.
const HEADERS: usize = 12;

/// Returns the response.
///
/// # Errors
/// [`ErrorKind::Internal`] when the reply cannot be written as JSON.
pub fn response<R: Reply>(reply: &R) -> Result<Response<Vec<u8>>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::from_u16(R::STATUS).unwrap_or_default();
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    let cache = match reply.cache() {
        Cow::Borrowed(cache) => HeaderValue::from_static(cache),
        Cow::Owned(cache) => HeaderValue::try_from(cache).unwrap_or(HeaderValue::from_static("no-store")),
    };
    headers.insert(CACHE_CONTROL, cache);
    if let Some(location) = reply.location().and_then(|location| HeaderValue::try_from(location).ok()) {
        headers.insert(LOCATION, location);
    }
    reply.add_headers(headers);
    if R::STATUS != 204 {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut body = Vec::with_capacity(256);
        serde_json::to_writer(&mut body, reply)
            .map_err(|cause| Error::with_source(ErrorKind::Internal, "an answer cannot be written", cause))?;
        *response.body_mut() = body;
    }
    Ok(response)
}
