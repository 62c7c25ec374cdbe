//! Configured http and https URLs: a webhook, the pages that mails link to, the address of a server.

use std::{fmt, str::FromStr};

use http::Uri;
use url::Url;

/// An `http` or `https` URL with a host and without a user name.
///
/// It is kept as it was written, and can stand in a header or in the text of a mail: it contains no space, no control
/// character, and none of `<`, `>`, `"`, `\`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    /// The URL that requests are sent to: without the fragment, with the host as the DNS has it.
    uri: Uri,
    is_https: bool,
}

/// A text that is not an [`HttpUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an http or https URL with a host and without a user name, such as https://auth.example.org")]
pub struct InvalidHttpUrl;

impl HttpUrl {
    /// Returns the URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the URL that requests are sent to: the URL without its fragment, which is never sent.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns the host in its ASCII form, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// Returns whether requests to it are encrypted.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns the fragment: the text after `#`.
    pub fn fragment(&self) -> Option<&str> {
        self.text.split_once('#').map(|(_, fragment)| fragment)
    }

    /// Reads the URL that paths are appended to: it has no query, no fragment and no placeholder in braces, and slashes
    /// at its end are dropped.
    ///
    /// # Errors
    /// [`InvalidHttpUrl`] when it has one of them, or is not an [`HttpUrl`].
    pub fn parse_base(text: &str) -> Result<Self, InvalidHttpUrl> {
        let url: Self = text.trim_end_matches('/').parse()?;
        match url.uri.query().is_none() && !text.contains(['#', '{', '}']) {
            true => Ok(url),
            false => Err(InvalidHttpUrl),
        }
    }
}

impl FromStr for HttpUrl {
    type Err = InvalidHttpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidHttpUrl> {
        let is_unsafe = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\');
        // The parser does as browsers do: it skips slashes before a host, and drops an empty user name or port.
        let authority = text.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
        let is_plain = authority.is_some_and(|it| !it.is_empty() && !it.contains('@') && !it.ends_with(':'));
        if !is_plain || text.contains(is_unsafe) {
            return Err(InvalidHttpUrl);
        }
        let mut url = Url::parse(text).map_err(|_| InvalidHttpUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.port() == Some(0) {
            return Err(InvalidHttpUrl);
        }
        url.set_fragment(None);
        let uri = url.as_str().parse().map_err(|_| InvalidHttpUrl)?;
        Ok(Self { text: text.to_owned(), uri, is_https: url.scheme() == "https" })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_has_a_host_and_stays_as_it_was_written() {
        for (text, host) in [
            ("https://shop.example", "shop.example"),
            ("HTTP://127.0.0.1:8080/a?b=c#d", "127.0.0.1"),
            ("http://[::1]:80/", "[::1]"),
            ("http://[::1]", "[::1]"),
            ("https://bücher.example:8443/é?ü", "xn--bcher-kva.example"),
            ("https://shop.example?a=b", "shop.example"),
        ] {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!((url.as_str(), url.host()), (text, host));
            assert_eq!(url.is_https(), text.starts_with("https"));
        }
        let url: HttpUrl = "https://shop.example/a#/b".parse().unwrap();
        assert_eq!((url.fragment(), url.uri().path()), (Some("/b"), "/a"));
    }

    #[test]
    fn what_has_no_host_or_could_break_a_line_is_refused() {
        for text in [
            "",
            "shop.example",
            "/a",
            "//shop.example",
            "ftp://shop.example",
            "javascript:alert(1)",
            "https://",
            "https:///a",
            "http://:80/",
            "https://?a",
            "https://#a",
            "http://shop.example:0/",
            "http://shop.example:+1/",
            "http://shop.example:/",
            "http://shop.example:99999/",
            "http://[::1",
            "http://::1/",
            "https://ada@shop.example/",
            "https://ada:hunter2@shop.example/",
            "https://shop example/",
            "https://shop.example/ a",
            "https://shop.example/\r\nBcc:",
            "https://shop.example/<b>",
            "https://shop.example\\a",
        ] {
            assert_eq!(text.parse::<HttpUrl>(), Err(InvalidHttpUrl), "{text}");
        }
    }

    #[test]
    fn a_base_has_neither_query_nor_fragment_nor_a_slash_at_its_end() {
        assert_eq!(HttpUrl::parse_base("https://shop.example/auth/").unwrap().as_str(), "https://shop.example/auth");
        for text in ["https://shop.example/?a=b", "https://shop.example/#a", "https://shop.example/{code}", "https:///"]
        {
            assert_eq!(HttpUrl::parse_base(text), Err(InvalidHttpUrl), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_refused(text in "\\PC*|https?://[a-z0-9@:#/?.\\[\\]é]{0,30}") {
            if let Ok(url) = text.parse::<HttpUrl>() {
                prop_assert!(!url.host().is_empty() && url.uri().authority().is_some_and(|a| !a.as_str().contains('@')));
                prop_assert_eq!(url.as_str().parse::<HttpUrl>(), Ok(url));
            }
        }
    }
}
