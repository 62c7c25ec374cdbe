//! Reads requests: the request id, and the fields.

use std::{cell::RefCell, error::Error as StdError, time::Duration};

use authy_core::{
    ErrorKind,
    api::{Fields, Info, body},
    client_info,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
    request::Parts,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::timeout;

use crate::error_reply::ErrorReply;

/// Returns the id of a request: the sender's, when it has 1 to 64 plain characters, otherwise a new one.
pub(crate) fn id(headers: &HeaderMap) -> HeaderValue {
    client_info::request_id(headers).cloned().unwrap_or_else(fresh_id)
}

/// Length of a new ID: 128 bits in hexadecimal, so that no two requests of any server have the same one.
const ID_LENGTH: usize = 32;

/// Number of IDs that a thread makes at a time. Most are only sent, and share one allocation of 2 KiB.
const IDS_AT_A_TIME: usize = 64;

fn fresh_id() -> HeaderValue {
    thread_local! {
        static IDS: RefCell<Bytes> = const { RefCell::new(Bytes::new()) };
    }
    let id = IDS.with_borrow_mut(|ids| {
        if ids.len() < ID_LENGTH {
            *ids = fresh_ids();
        }
        ids.split_to(ID_LENGTH)
    });
    HeaderValue::from_maybe_shared(id).unwrap_or(HeaderValue::from_static("-"))
}

fn fresh_ids() -> Bytes {
    let bits: [u8; ID_LENGTH / 2 * IDS_AT_A_TIME] = rand::random();
    let digits = bits.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }).collect()
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
        return Ok(Fields::parse_query(query)?);
    }
    if body.is_end_stream() {
        return Ok(Fields::none());
    }
    // Checked before a byte is read, as the size is: a client that waits for "100 Continue" need not send the body. The
    // form of the page has a button and no fields. It is read like any other, so that the connection is kept.
    let is_form = info.has_page && is_form(&head.headers);
    if !is_form && body.size_hint().lower() <= body::MAX_BYTES as u64 {
        require_json(&head.headers)?;
    }
    let body = self::body(body, body_timeout).await?;
    if body.is_empty() || is_form {
        return Ok(Fields::none());
    }
    Fields::from_json(&body).map_err(|why| ErrorReply::from(body::malformed()).with_message(why.to_string()))
}

/// Reads a body.
///
/// # Errors
/// [`ErrorKind::BodyTooLarge`], [`ErrorKind::RequestTimeout`], [`ErrorKind::MalformedRequest`].
pub(crate) async fn body<B>(body: B, timeout_after: Duration) -> Result<Bytes, ErrorReply>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    if body.size_hint().lower() > body::MAX_BYTES as u64 {
        return Err(body::too_large().into());
    }
    match timeout(timeout_after, Limited::new(body, body::MAX_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => Err(body::too_large().into()),
        Ok(Err(_)) => Err(ErrorReply::new(ErrorKind::MalformedRequest, "the body ended early or is not well-formed")),
        Err(_) => Err(ErrorReply::new(ErrorKind::RequestTimeout, "the body did not arrive in time")),
    }
}

/// Checks that the body is JSON, in UTF-8 and not compressed. The answer to a compressed one names the coding that is
/// accepted (RFC 9110, section 15.5.16).
fn require_json(headers: &HeaderMap) -> Result<(), ErrorReply> {
    body::require_json(headers).map_err(|error| match headers.contains_key(CONTENT_ENCODING) {
        true => ErrorReply::from(error).with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        false => error.into(),
    })
}

/// Returns whether the body is the form of a page.
fn is_form(headers: &HeaderMap) -> bool {
    body::media_type(headers) == "application/x-www-form-urlencoded"
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

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
    fn fresh_ids_differ_and_have_128_bits() {
        let ids: HashSet<_> = (0..3 * IDS_AT_A_TIME).map(|_| id(&HeaderMap::new())).collect();
        assert_eq!(ids.len(), 3 * IDS_AT_A_TIME);
        for id in ids {
            let id = id.to_str().unwrap();
            assert!(id.len() == 32 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{id}");
        }
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
