//! Reads requests: the request id, and the fields.

use std::{error::Error as StdError, time::Duration};

use authy_core::{
    Error, ErrorKind, Result,
    api::{Fields, Info, MAX_FIELDS},
    client_info,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::timeout;

use crate::error_reply::ErrorReply;

/// Maximum size of a body in bytes: far more than any request needs.
const BODY_LIMIT: usize = 64 * 1024;

/// Maximum length of a query in bytes. The longest that an endpoint can use has about 2 KiB, all of it percent-encoded.
const QUERY_LIMIT: usize = 8 * 1024;

/// Returns the id of a request: the sender's, when it has 1 to 64 plain characters, otherwise a new one.
pub(crate) fn id(headers: &HeaderMap) -> HeaderValue {
    client_info::request_id(headers).cloned().unwrap_or_else(|| {
        let fresh = Bytes::from(format!("{:032x}", rand::random::<u128>()));
        HeaderValue::from_maybe_shared(fresh).unwrap_or(HeaderValue::from_static("-"))
    })
}

/// Reads the fields of a request: the query of a GET or DELETE, the JSON body of all other methods. An empty body has
/// no fields.
///
/// # Errors
/// [`ErrorKind::BodyTooLarge`], [`ErrorKind::RequestTimeout`], [`ErrorKind::UnsupportedMediaType`],
/// [`ErrorKind::MalformedJson`], [`ErrorKind::MalformedRequest`].
pub(crate) async fn fields<B>(info: &Info, head: &Parts, body: B, body_timeout: Duration) -> Result<Fields, ErrorReply>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    if !info.has_body() {
        // Where no query is declared, a query is ignored without being parsed.
        let query = head.uri.query().filter(|_| !info.fields.is_empty()).unwrap_or_default();
        return Ok(Fields::from_query(pairs(query)?));
    }
    if body.is_end_stream() {
        return Ok(Fields::none());
    }
    // Checked before a byte is read: a client that waits for "100 Continue" need not send the body.
    if body.size_hint().lower() > BODY_LIMIT as u64 {
        return Err(too_large().into());
    }
    if info.has_page && is_form(&head.headers) {
        // The form of the page has a button and no fields.
        return Ok(Fields::none());
    }
    if !is_json(&head.headers) {
        let wrong = "a body needs Content-Type: application/json";
        return Err(ErrorReply::new(ErrorKind::UnsupportedMediaType, wrong));
    }
    let body = match timeout(body_timeout, Limited::new(body, BODY_LIMIT).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => return Err(too_large().into()),
        Ok(Err(_)) => {
            return Err(ErrorReply::new(ErrorKind::MalformedRequest, "the body ended early or is not well-formed"));
        }
        Err(_) => return Err(ErrorReply::new(ErrorKind::RequestTimeout, "the body did not arrive in time")),
    };
    if body.is_empty() {
        return Ok(Fields::none());
    }
    Fields::from_json(&body).map_err(|why| {
        ErrorReply::new(ErrorKind::MalformedJson, "the body is not a JSON object").with_message(why.to_string())
    })
}

/// Decodes the parameters of a query.
fn pairs(query: &str) -> Result<Vec<(String, String)>> {
    let malformed = |detail| Error::new(ErrorKind::MalformedRequest, detail);
    if query.len() > QUERY_LIMIT {
        return Err(malformed("a query has at most 8 KiB"));
    }
    // Counted before they are decoded.
    if query.split('&').filter(|pair| !pair.is_empty()).count() > MAX_FIELDS {
        return Err(malformed("a query has at most 64 parameters"));
    }
    serde_urlencoded::from_str(query).map_err(|_| malformed("the query cannot be read"))
}

fn too_large() -> Error {
    Error::new(ErrorKind::BodyTooLarge, "a body has at most 64 KiB")
}

/// Returns whether the body is the form of a page.
fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers) == "application/x-www-form-urlencoded"
}

fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns whether the body is `application/json` or a type that ends in `+json` (RFC 6839), with or without
/// parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    media_type == "application/json" || (media_type.contains('/') && media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use authy_core::client_info::REQUEST_ID;
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn json_goes_by_many_names() {
        let json = |value| is_json(&headers(&[(&CONTENT_TYPE, value)]));
        for name in
            ["application/json", "Application/JSON; charset=utf-8", "application/problem+json", "text/x+json ;a=b"]
        {
            assert!(json(name), "{name}");
        }
        for name in ["", "json", "+json", "text/json", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert!(!json(name), "{name}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn a_query_is_bounded() {
        let query = |count: usize| vec!["a=b"; count].join("&");
        assert_eq!(pairs(&query(64)).unwrap().len(), 64);
        assert_eq!(pairs(&query(65)).unwrap_err().kind(), ErrorKind::MalformedRequest);
        assert_eq!(pairs(&format!("a={}", "b".repeat(QUERY_LIMIT - 2))).unwrap().len(), 1);
        assert_eq!(pairs(&"b".repeat(QUERY_LIMIT + 1)).unwrap_err().kind(), ErrorKind::MalformedRequest);
        assert_eq!(pairs("").unwrap(), []);
    }

    #[test]
    fn fresh_ids_differ() {
        assert_ne!(id(&HeaderMap::new()), id(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn an_id_is_the_senders_when_it_is_plain(sent in "[A-Za-z0-9._-]{1,64}", wrong in "[ -~]{0,80}") {
            prop_assert_eq!(id(&headers(&[(&REQUEST_ID, &sent)])), sent.as_str());
            let id = id(&headers(&[(&REQUEST_ID, &wrong)]));
            let id = id.to_str().unwrap();
            let is_plain = id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
            prop_assert!((1..=64).contains(&id.len()) && is_plain);
        }
    }
}
