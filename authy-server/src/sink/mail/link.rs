//! Where the links in mails lead.

use std::str::FromStr;

use authy_core::Secret;
use url::Url;

/// Where the code goes in a link.
const CODE: &str = "{code}";

/// The address of a page, with a place for the code in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link(String);

/// Why a text is no [`Link`] or [`PublicUrl`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidLink(&'static str);

impl Link {
    /// The link with a code in it. A code consists of letters, digits, `-` and `_`, so it is as good in a path as in a query.
    pub(crate) fn with(&self, code: &Secret) -> String {
        self.0.replacen(CODE, code.expose(), 1)
    }
}

impl FromStr for Link {
    type Err = InvalidLink;

    fn from_str(text: &str) -> Result<Self, InvalidLink> {
        let before = text.split_once(CODE).and_then(|(before, _)| before.split_once("://"));
        // Behind the host: a code is for nobody else's server.
        let behind = before.and_then(|(_, before)| before.find(['/', '?', '#'])).is_some_and(|end| end > 0);
        let sound = behind && text.matches(CODE).count() == 1 && is_web(text);
        match sound && page(&text.replacen(CODE, "x", 1)).is_some() {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidLink(
                "must be the URL of a page with {code} in it, such as https://shop.example/reset?code={code}",
            )),
        }
    }
}

/// Where people reach this server: a URL without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidLink;

    fn from_str(text: &str) -> Result<Self, InvalidLink> {
        let plain = page(text).filter(|url| is_web(text) && url.query().is_none() && url.fragment().is_none());
        match plain.filter(|_| !text.contains(['{', '}'])) {
            Some(_) => Ok(Self(text.trim_end_matches('/').to_owned())),
            None => Err(InvalidLink("must be a URL, such as https://auth.example.org")),
        }
    }
}

/// The URL parser forgives what would break a link in a text: spaces around it, line breaks in it.
fn is_web(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\'))
}

fn page(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_page = matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty();
    Some(url).filter(|_| is_page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_goes_where_the_link_says() {
        let code = Secret::new("abc-_9");
        for (link, expected) in [
            ("https://shop.example/reset?code={code}", "https://shop.example/reset?code=abc-_9"),
            ("https://shop.example/#/reset/{code}", "https://shop.example/#/reset/abc-_9"),
            ("http://127.0.0.1:8080/authy/validate/{code}", "http://127.0.0.1:8080/authy/validate/abc-_9"),
        ] {
            assert_eq!(link.parse::<Link>().unwrap().with(&code), expected);
        }
    }

    #[test]
    fn what_is_no_link_is_refused() {
        for text in [
            "",
            "{code}",
            "https://shop.example/reset",
            "https://shop.example/{code}/{code}",
            "ftp://shop.example/{code}",
            "javascript:alert('{code}')",
            "https:///{code}",
            "https://{code}.example/",
            "https://shop{code}.example/",
            "https://shop.example/ {code}",
            "https://shop.example/\r\nBcc:{code}",
            "https://user@shop.example/{code}",
        ] {
            assert!(text.parse::<Link>().is_err(), "{text}");
        }
        for text in
            ["", "shop.example", "https://shop.example/?a=b", "https://shop.example/{code}", "ftp://shop.example"]
        {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
        assert_eq!("https://shop.example/auth/".parse::<PublicUrl>().unwrap().as_str(), "https://shop.example/auth");
    }
}
