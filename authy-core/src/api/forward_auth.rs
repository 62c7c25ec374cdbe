//! The headers by which a proxy, which has asked whether a request may pass, tells the service behind it who the caller is.

use std::{fmt::Write as _, ops::Range};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Level, UserId, Username};

/// The public ID of the caller.
pub const PUBLIC_ID: HeaderName = HeaderName::from_static("x-authy-public-id");

/// The username of the caller, percent-encoded (RFC 3986): a username may have letters of any script, a header may not.
pub const USERNAME: HeaderName = HeaderName::from_static("x-authy-username");

/// The level of the caller.
pub const LEVEL: HeaderName = HeaderName::from_static("x-authy-level");

/// The names of the caller's roles, each percent-encoded, separated by commas. Empty when they exceed 2 KiB.
pub const ROLES: HeaderName = HeaderName::from_static("x-authy-roles");

/// All of them, in the order in which they are sent.
pub(super) const NAMES: [HeaderName; 4] = [PUBLIC_ID, USERNAME, LEVEL, ROLES];

/// Maximum length of the roles in bytes. A proxy refuses an answer whose headers exceed its buffer, which has 4 KiB by default in
/// nginx: a caller with many roles would be refused everywhere.
const MAX_ROLES_LENGTH: usize = 2048;

/// All characters except the unreserved ones (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Adds the headers about a caller. All of them, also empty ones: a proxy that copies them then replaces each that a client has
/// forged.
pub(super) fn add_headers<'a>(
    headers: &mut HeaderMap,
    public_id: &UserId,
    username: &Username,
    level: &Level,
    role_names: impl Iterator<Item = &'a str>,
) {
    // Written into one buffer that the values share.
    let mut text = String::with_capacity(128);
    let mut write = |value: &dyn std::fmt::Display| -> Range<usize> {
        let start = text.len();
        // A string accepts everything.
        let _ = write!(text, "{value}");
        start..text.len()
    };
    let id = write(public_id);
    let username = write(&utf8_percent_encode(username.as_str(), RESERVED));
    let level = write(level);
    let mut roles = text.len()..text.len();
    for (number, role) in role_names.enumerate() {
        if number > 0 {
            text.push(',');
        }
        text.extend(utf8_percent_encode(role, RESERVED));
    }
    if text.len() - roles.start <= MAX_ROLES_LENGTH {
        roles.end = text.len();
    }
    let text = Bytes::from(text);
    for (name, range) in NAMES.into_iter().zip([id, username, level, roles]) {
        // Unreserved characters, percent signs and commas are valid in a header.
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(range)) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;

    use super::*;

    fn headers(username: &str, roles: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let (id, username) = (UserId::random(), Username::existing(username).unwrap());
        add_headers(&mut headers, &id, &username, &Level::clamped(10), roles.iter().copied());
        assert_eq!(headers[&PUBLIC_ID], id.to_string());
        assert_eq!(headers[&LEVEL], "10");
        headers
    }

    #[test]
    fn names_of_any_script_are_percent_encoded() {
        let headers = headers("Ада_1", &["user", "night shift", "a,b%"]);
        assert_eq!(headers[&USERNAME], "%D0%90%D0%B4%D0%B0_1");
        assert_eq!(headers[&ROLES], "user,night%20shift,a%2Cb%25");
        let decoded = percent_decode_str(headers[&USERNAME].to_str().unwrap()).decode_utf8().unwrap();
        assert_eq!(decoded, "Ада_1");
    }

    #[test]
    fn too_many_roles_are_left_out_and_the_header_is_still_there() {
        let names: Vec<_> = (0..500).map(|number| format!("role-{number}")).collect();
        let roles: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(headers("ada", &roles)[&ROLES], "");
        assert_eq!(headers("ada", &[])[&ROLES], "");
        assert!(!headers("ada", &roles[..200])[&ROLES].is_empty());
    }
}
