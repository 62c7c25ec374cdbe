//! The origins of web pages, as browsers write them.

use authy_core::http_url::HttpUrl;

/// A text that is not the origin of web pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidOrigin {
    #[error("must name each origin, without a star: a page of any other origin could use the tokens of its visitors")]
    Star,
    #[error("must be an origin, which ends behind the host or the port: leave out the slash at the end")]
    Slash,
    #[error(
        "must be an origin, which ends behind the host or the port: leave out the path, the query and the fragment"
    )]
    Path,
    #[error("must be an origin, such as https://shop.example: begin with https:// or http://")]
    Scheme,
    #[error("must be an origin, such as https://shop.example or http://localhost:3000")]
    Other,
}

/// Returns an origin as browsers send it (RFC 6454, section 6.2): in lower case, an international name in its ASCII form,
/// and without the port that the scheme implies.
///
/// # Errors
/// [`InvalidOrigin`], which says what to leave out.
pub(crate) fn origin(text: &str) -> Result<String, InvalidOrigin> {
    if text.contains('*') {
        return Err(InvalidOrigin::Star);
    }
    let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin::Scheme)?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(InvalidOrigin::Scheme);
    }
    match rest.find(['/', '?', '#']).and_then(|end| rest.get(end..)) {
        Some("/") => return Err(InvalidOrigin::Slash),
        Some(_) => return Err(InvalidOrigin::Path),
        None => {}
    }
    let url = text.parse::<HttpUrl>().map_err(|_| InvalidOrigin::Other)?;
    let authority = url.uri().authority().ok_or(InvalidOrigin::Other)?;
    Ok(format!("{}://{authority}", scheme.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_is_as_browsers_write_it() {
        for (text, expected) in [
            ("https://shop.example", "https://shop.example"),
            ("HTTPS://Shop.Example:443", "https://shop.example"),
            ("http://shop.example:80", "http://shop.example"),
            ("http://shop.example:443", "http://shop.example:443"),
            ("https://bücher.example:8443", "https://xn--bcher-kva.example:8443"),
            ("https://BÜCHER.example", "https://xn--bcher-kva.example"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(origin(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_does_not_belong_to_an_origin_is_named() {
        for (text, expected) in [
            ("*", InvalidOrigin::Star),
            ("https://*.shop.example", InvalidOrigin::Star),
            ("https://shop.example/", InvalidOrigin::Slash),
            ("https://shop.example/a", InvalidOrigin::Path),
            ("https://shop.example//", InvalidOrigin::Path),
            ("https://shop.example?a", InvalidOrigin::Path),
            ("https://shop.example#a", InvalidOrigin::Path),
            ("shop.example", InvalidOrigin::Scheme),
            ("null", InvalidOrigin::Scheme),
            ("file://", InvalidOrigin::Scheme),
            ("", InvalidOrigin::Scheme),
            ("https://", InvalidOrigin::Other),
            ("https://ada@shop.example", InvalidOrigin::Other),
            ("https://shop.example:99999", InvalidOrigin::Other),
        ] {
            assert_eq!(origin(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_origin_or_refused(text in "\\PC*|(https?|ftp)://[a-zA-Z0-9@:#/.\\[\\]é*]{0,30}") {
            if let Ok(found) = origin(&text) {
                prop_assert_eq!(origin(&found), Ok(found.clone()));
                prop_assert!(found.is_ascii() && !found.contains('*'));
            }
        }
    }
}
