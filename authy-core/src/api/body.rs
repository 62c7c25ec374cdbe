//! What the body of a request may be: JSON, and not long.

use http::{HeaderMap, header::CONTENT_TYPE};

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

/// Checks that the type of a body is `application/json` or ends in `+json` (RFC 6839), with or without parameters.
///
/// # Errors
/// [`ErrorKind::UnsupportedMediaType`].
pub fn require_json(headers: &HeaderMap) -> Result<()> {
    match is_json(headers) {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::UnsupportedMediaType, "a body needs Content-Type: application/json")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    media_type == "application/json" || (media_type.contains('/') && media_type.ends_with("+json"))
}

/// Returns the media type of a body in lower case and without parameters; empty when there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
}
