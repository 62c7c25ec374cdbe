//! The servers that requests are replayed against.

use std::{fmt, str::FromStr};

use authy_core::{
    encryption::{self, ConnectionKind, Encryption, PlainTextRefused},
    http_url::HttpUrl,
};
use http::Uri;

const CONNECTION: ConnectionKind = ConnectionKind {
    carries: "recorded passwords and tokens",
    encrypt_with: "https://",
    permit_plain_text_with: "http://…#tls=none",
};

/// The URL of a server: https, or http to this machine, or http to another machine with `#tls=none` at the end.
#[derive(Clone, Debug)]
pub(super) struct BaseUrl {
    url: HttpUrl,
    /// What stands before `/authy` in each path.
    prefix: String,
}

/// A URL that cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum InvalidBaseUrl {
    #[error("must be an http or https URL without a user name, a query and a fragment, such as https://old.example")]
    Url,
    #[error("{0}")]
    PlainText(PlainTextRefused),
}

impl BaseUrl {
    pub(super) fn is_https(&self) -> bool {
        self.url.is_https()
    }

    /// Returns the URL of a path with its query.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub(super) fn uri(&self, target: &str) -> Result<Uri, http::Error> {
        let mut parts = self.url.uri().clone().into_parts();
        parts.path_and_query = Some(format!("{}{target}", self.prefix).try_into()?);
        Ok(Uri::from_parts(parts)?)
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        let (address, is_declined) = match text.strip_suffix("#tls=none") {
            Some(address) => (address, true),
            None => (text, false),
        };
        let url = HttpUrl::parse_base(address).map_err(|_| InvalidBaseUrl::Url)?;
        let encryption = match (url.is_https(), is_declined) {
            (true, false) => Encryption::Required,
            (true, true) => return Err(InvalidBaseUrl::Url),
            (false, true) => Encryption::Declined,
            (false, false) => Encryption::Unspecified,
        };
        encryption::check(CONNECTION, encryption, [url.host()]).map_err(InvalidBaseUrl::PlainText)?;
        let path = url.uri().path().trim_end_matches('/');
        // Every recorded path begins with it.
        let prefix = path.strip_suffix("/authy").unwrap_or(path).to_owned();
        Ok(Self { url, prefix })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_mapped_to_the_base() {
        for (base, expected) in [
            ("https://old.example", "https://old.example/authy/role?page=2"),
            ("https://old.example/authy/", "https://old.example/authy/role?page=2"),
            ("http://10.0.0.1:5000/auth/v1#tls=none", "http://10.0.0.1:5000/auth/v1/authy/role?page=2"),
            ("http://[::1]:81/myauthy", "http://[::1]:81/myauthy/authy/role?page=2"),
        ] {
            let base: BaseUrl = base.parse().unwrap();
            assert_eq!(base.uri("/authy/role?page=2").unwrap(), expected);
        }
    }

    #[test]
    fn secrets_go_to_another_machine_only_when_encrypted_or_by_name() {
        for wrong in [
            "old.example",
            "http://old.example",
            "https://old.example#tls=none",
            "https://ada:hunter2@old.example",
            "https://old.example?a=b",
            "https://old.example#x",
        ] {
            let refused = wrong.parse::<BaseUrl>().unwrap_err().to_string();
            assert!(!refused.is_empty() && !refused.contains("hunter2"), "{wrong}: {refused}");
        }
    }
}
