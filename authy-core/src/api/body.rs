//! What the body of a request may be: JSON, and not long.

use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use crate::{Error, ErrorKind, Result};

/// Maximum size of a body in bytes: far more than any request needs.
pub const MAX_BYTES: usize = 64 * 1024;

/// Returns the error of a body that is longer than [`MAX_BYTES`].
pub fn too_large() -> Error {
    Error::new(ErrorKind::BodyTooLarge, "a body has at most 64 KiB")
}

/// Returns the error of a body that is not a JSON object. The message of the parser says where.
pub fn malformed() -> Error {
    Error::new(ErrorKind::MalformedJson, "the body is not a JSON object")
}

/// Checks that the type of a body is `application/json` or ends in `+json` (RFC 6839), with or without parameters, that a
/// `charset` among them is UTF-8 (RFC 8259, section 8.1), and that the body is not compressed.
///
/// # Errors
/// [`ErrorKind::UnsupportedMediaType`].
pub fn require_json(headers: &HeaderMap) -> Result<()> {
    let refuse = |detail| Err(Error::new(ErrorKind::UnsupportedMediaType, detail));
    if !is_json(headers) {
        return refuse("a body needs Content-Type: application/json");
    }
    if !is_utf8(headers) {
        return refuse("a body must be UTF-8: leave out the charset in Content-Type");
    }
    // A compressed body could be much larger than the limit.
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refuse("a body must not be compressed: leave out Content-Encoding");
    }
    Ok(())
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    media_type == "application/json" || (media_type.contains('/') && media_type.ends_with("+json"))
}

/// Returns whether the type of a body names no character set, or UTF-8, or its subset ASCII.
fn is_utf8(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parameters = text.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charsets.all(|(_, value)| {
        let value = value.trim().trim_matches('"');
        ["utf-8", "utf8", "us-ascii"].iter().any(|name| value.eq_ignore_ascii_case(name))
    })
}

/// Returns the media type of a body in lower case and without parameters; empty when there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_goes_by_many_names() {
        let json = |value| is_json(&[(CONTENT_TYPE, HeaderValue::from_static(value))].into_iter().collect());
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
    fn a_body_is_utf8_and_not_compressed() {
        let check = |content_type, coding: Option<&'static str>| {
            let coding = coding.map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding)));
            let lines = [(CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().chain(coding);
            require_json(&lines.collect()).map_err(|error| error.detail())
        };
        for content_type in [
            "application/json",
            "application/json;charset=UTF-8",
            "application/json; Charset=\"utf-8\"; a=b",
            "application/json; charset=us-ascii",
            "application/json; a=b",
            "application/json; charset",
        ] {
            assert_eq!(check(content_type, None), Ok(()), "{content_type}");
            assert_eq!(check(content_type, Some("Identity")), Ok(()), "{content_type}");
        }
        for charset in ["iso-8859-1", "utf-16", "", "\"\""] {
            let content_type = format!("application/json; charset={charset}").leak();
            assert!(check(content_type, None).is_err_and(|why| why.contains("UTF-8")), "{charset}");
        }
        for coding in ["gzip", "deflate", "br", "identity, gzip", ""] {
            let refused = check("application/json", Some(coding));
            assert!(refused.is_err_and(|why| why.contains("compressed")), "{coding}");
        }
    }

    proptest! {
        #[test]
        fn no_content_type_panics(text in "[ -~]{0,40}") {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::try_from(text).unwrap())]);
            prop_assert!(require_json(&headers).is_err() || media_type(&headers).ends_with("json"));
        }
    }
}
