//! Reads the access token of a request, from `x-access-token` or `Authorization: Bearer`.

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use crate::{Error, ErrorKind, Result};

const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

/// Returns the access token from either header.
///
/// # Errors
/// [`ErrorKind::TokenRequired`] when there is none, [`ErrorKind::ConflictingTokens`] when there are several different ones,
/// [`ErrorKind::InvalidToken`] when it is not UTF-8.
pub fn access_token(headers: &HeaderMap) -> Result<&str> {
    let plain = headers.get_all(&ACCESS_TOKEN).into_iter().map(HeaderValue::as_bytes);
    let bearer = headers.get_all(AUTHORIZATION).into_iter().filter_map(bearer);
    let mut tokens = plain.chain(bearer).map(<[u8]>::trim_ascii).filter(|token| !token.is_empty());
    let token = tokens.next().ok_or_else(|| Error::new(ErrorKind::TokenRequired, "no token was sent"))?;
    if tokens.any(|other| other != token) {
        return Err(Error::new(ErrorKind::ConflictingTokens, "several tokens were sent, and they differ"));
    }
    std::str::from_utf8(token).map_err(|_| Error::new(ErrorKind::InvalidToken, "the token is not text"))
}

/// Returns the credentials of `Authorization: Bearer`, the scheme in any case (RFC 9110, section 11.1). Ignores other schemes.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer".len())?;
    (scheme.eq_ignore_ascii_case(b"Bearer") && token.first().is_none_or(|&c| c == b' ')).then_some(token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn found(lines: &[(&HeaderName, &str)]) -> Result<String, ErrorKind> {
        access_token(&headers(lines)).map(str::to_owned).map_err(|error| error.kind())
    }

    #[test]
    fn a_token_travels_in_either_header() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(found(&[(&AUTHORIZATION, &format!("{scheme} abc"))]).as_deref(), Ok("abc"));
        }
        assert_eq!(found(&[(&ACCESS_TOKEN, "abc")]).as_deref(), Ok("abc"));
        assert_eq!(found(&[(&ACCESS_TOKEN, "abc"), (&AUTHORIZATION, "Bearer  abc")]).as_deref(), Ok("abc"));
        assert_eq!(found(&[(&ACCESS_TOKEN, "abc"), (&AUTHORIZATION, "Basic YTpi")]).as_deref(), Ok("abc"));
    }

    #[test]
    fn tokens_that_differ_are_refused() {
        for (one, other) in
            [(&ACCESS_TOKEN, &ACCESS_TOKEN), (&AUTHORIZATION, &AUTHORIZATION), (&ACCESS_TOKEN, &AUTHORIZATION)]
        {
            let lines = [(one, "bearer abc"), (other, "bearer abd")];
            assert_eq!(found(&lines), Err(ErrorKind::ConflictingTokens));
        }
    }

    #[test]
    fn without_a_token_a_token_is_required() {
        let none: [&[_]; 5] = [
            &[],
            &[(&ACCESS_TOKEN, " ")],
            &[(&AUTHORIZATION, "Bearer")],
            &[(&AUTHORIZATION, "Basic YTpi")],
            &[(&AUTHORIZATION, "Bearerabc")],
        ];
        for lines in none {
            assert_eq!(found(lines), Err(ErrorKind::TokenRequired), "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_holds_a_token_or_an_error(line in "[ -~]{0,40}") {
            let lines = [(&AUTHORIZATION, line.as_str())];
            if let Ok(token) = found(&lines) {
                prop_assert!(!token.is_empty() && line.ends_with(&token) || line.trim_end().ends_with(&token));
            }
        }
    }
}
