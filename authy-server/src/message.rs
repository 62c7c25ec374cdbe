//! Rules about the head of a request that hyper leaves to its users.

use authy_core::ErrorKind;
use http::{
    HeaderValue, Version,
    header::{CONNECTION, HOST, TRANSFER_ENCODING},
    request::Parts,
};

use crate::error_reply::ErrorReply;

/// Adds the `Host` of a request of HTTP/2, which names it elsewhere (RFC 9113, section 8.3.1), so that all that follows reads one
/// header.
#[cfg(feature = "tls")]
pub(crate) fn name_host(head: &mut Parts) {
    let authority = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(authority) = authority {
        // Both, and different: they stay two, and are refused.
        let is_named = head.headers.get_all(HOST).iter().any(|host| *host == authority);
        if !is_named {
            head.headers.append(HOST, authority);
        }
    }
}

/// Refuses a head that names no host, or more than one, and a body in a coding other than `chunked`.
///
/// # Errors
/// [`ErrorKind::MalformedRequest`].
pub(crate) fn check(head: &Parts) -> Result<(), ErrorReply> {
    // Closed, because a proxy in front may have read another host in the same head, or another end of the message.
    let refuse = |detail| {
        let refused = ErrorReply::new(ErrorKind::MalformedRequest, detail);
        // HTTP/2 has no such header, and no proxy can read its messages differently.
        Err(match head.version {
            Version::HTTP_2 => refused,
            _ => refused.with_header(CONNECTION, HeaderValue::from_static("close")),
        })
    };
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // HTTP/1.0 has no Host.
        (None, _) if head.version < Version::HTTP_11 => {}
        (Some(host), None) if is_host(host) => {}
        // RFC 9112, section 3.2.
        _ => return refuse("a request needs exactly one Host header, with a host and a port at most"),
    }
    // RFC 9112, section 6.1. hyper takes `gzip, chunked` for a body that it need not decode.
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => refuse("the transfer coding is not supported: send the body with Content-Length, or chunked"),
    }
}

/// Returns whether a value can be a host and a port (RFC 3986, sections 3.2.2 and 3.2.3). It may be empty.
fn is_host(value: &HeaderValue) -> bool {
    let is_permitted = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte);
    value.as_bytes().iter().all(is_permitted)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Request};
    use proptest::prelude::*;

    use super::*;

    fn head(version: Version, lines: &[(HeaderName, &str)]) -> Parts {
        let mut head = Request::new(()).into_parts().0;
        head.version = version;
        for (name, value) in lines {
            head.headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        head
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        let is_accepted = |version, hosts: &[&str]| {
            let lines: Vec<_> = hosts.iter().map(|host| (HOST, *host)).collect();
            check(&head(version, &lines)).is_ok()
        };
        for host in ["", "localhost", "auth.example:8080", "[::1]:80", "192.0.2.1", "xn--bcher-kva.example", "a_b"] {
            assert!(is_accepted(Version::HTTP_11, &[host]) && is_accepted(Version::HTTP_10, &[host]), "{host}");
        }
        for hosts in
            [&[][..], &["a", "b"], &["a", "a"], &["a b"], &["a/b"], &["u@a"], &["a, b"], &["http://a"], &["a?b"]]
        {
            assert!(!is_accepted(Version::HTTP_11, hosts), "{hosts:?}");
        }
        assert!(is_accepted(Version::HTTP_10, &[]) && !is_accepted(Version::HTTP_10, &["a", "b"]));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_request_of_http_2_names_its_host_in_its_authority() {
        let named = |uri: &str, hosts: &[&str]| {
            let lines: Vec<_> = hosts.iter().map(|host| (HOST, *host)).collect();
            let mut head = head(Version::HTTP_2, &lines);
            head.uri = uri.parse().unwrap();
            name_host(&mut head);
            check(&head).ok().map(|()| head.headers[HOST].clone())
        };
        for hosts in [&[][..], &["a.example"]] {
            assert_eq!(named("https://a.example/authy", hosts).unwrap(), "a.example");
        }
        assert_eq!(named("/authy", &["a.example"]).unwrap(), "a.example");
        for (uri, hosts) in
            [("https://a/", &["b"][..]), ("https://a/", &["a", "b"]), ("/authy", &[]), ("https://u@a/", &[])]
        {
            assert!(named(uri, hosts).is_none(), "{uri} {hosts:?}");
        }
    }

    #[test]
    fn chunked_is_the_only_transfer_coding() {
        let is_accepted = |coding| check(&head(Version::HTTP_11, &[(HOST, "a"), (TRANSFER_ENCODING, coding)])).is_ok();
        assert!(is_accepted("chunked") && is_accepted("Chunked"));
        for coding in ["gzip, chunked", "chunked, chunked", "identity", "gzip", "", "chunked;a=b"] {
            assert!(!is_accepted(coding), "{coding}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_host_has_no_delimiter_of_a_path(host in "[ -~]{0,30}") {
            if check(&head(Version::HTTP_11, &[(HOST, &host)])).is_ok() {
                prop_assert!(!host.contains(['/', '?', '#', '@', ' ', '\\']));
            }
        }
    }
}
