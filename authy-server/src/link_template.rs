//! The links in mails.

use std::str::FromStr;

use authy_core::{Secret, http_url::HttpUrl};

/// Stands in a link where the code goes.
const CODE: &str = "{code}";

/// The URL of a page, with `{code}` where the one-time code goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTemplate(String);

/// A text that is not a [`LinkTemplate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the URL of a page with {{code}} in it, such as https://shop.example/reset?code={{code}}")]
pub struct InvalidLinkTemplate;

impl LinkTemplate {
    /// Returns the link with a code in it. A code consists of letters, digits, `-` and `_`, so it fits a path and a
    /// query.
    pub(crate) fn fill(&self, code: &Secret) -> String {
        self.0.replacen(CODE, code.expose(), 1)
    }

    /// Returns the beginning of the link, up to its path: `https://shop.example`.
    #[cfg(feature = "mail")]
    pub(crate) fn origin(&self) -> &str {
        let host = self.0.find("://").map_or(0, |end| end + "://".len());
        let end = self.0.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
        end.and_then(|end| self.0.get(..host + end)).unwrap_or(&self.0)
    }
}

impl FromStr for LinkTemplate {
    type Err = InvalidLinkTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidLinkTemplate> {
        let before = text.split_once(CODE).and_then(|(before, _)| before.split_once("://"));
        // Behind the host: otherwise the code would name another server, and be sent to it.
        let is_behind_host = before.and_then(|(_, before)| before.find(['/', '?', '#'])).is_some_and(|end| end > 0);
        let has_one = text.matches(CODE).count() == 1;
        match is_behind_host && has_one && text.replacen(CODE, "x", 1).parse::<HttpUrl>().is_ok() {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidLinkTemplate),
        }
    }
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
            assert_eq!(link.parse::<LinkTemplate>().unwrap().fill(&code), expected);
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
            assert!(text.parse::<LinkTemplate>().is_err(), "{text}");
        }
    }
}
