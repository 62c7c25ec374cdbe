//! The URL of the webhook, and the ways in which its settings can be wrong.

use std::str::FromStr;

use authy_core::{
    encryption::{self, ConnectionKind, Encryption, PlainTextRefused},
    http_url::HttpUrl,
    tls::TlsError,
};
use http::Uri;

const CONNECTION: ConnectionKind = ConnectionKind {
    carries: "access tokens of new users",
    encrypt_with: "https://",
    permit_plain_text_with: "http://…#tls=none",
};

/// The URL of a webhook: https, or http to this machine, or http to another machine with `#tls=none` at the end (a
/// fragment is never sent). It contains no secret.
///
/// ```
/// use authy_server::sink::{InvalidWebhook, WebhookUrl};
///
/// let _: WebhookUrl = "https://details.example/user".parse()?;
/// let refused = "http://details.example/user".parse::<WebhookUrl>();
/// assert!(matches!(refused, Err(InvalidWebhook::PlainText(_))), "it would send tokens in plain text");
/// # Ok::<(), InvalidWebhook>(())
/// ```
#[derive(Clone, Debug)]
pub struct WebhookUrl(HttpUrl);

/// A webhook that cannot be used.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhook {
    /// The URL cannot be used.
    #[error("must be an http or https URL, such as https://details.example/user, without a user name or a fragment")]
    Url,
    /// Tokens would be sent to another machine without encryption.
    #[error("{0}")]
    PlainText(PlainTextRefused),
    /// A secret cannot be used.
    #[error(
        "must be whsec_ and base64 of 24 to 64 random bytes, several separated by commas: `echo whsec_$(openssl rand -base64 32)` prints one"
    )]
    Secret,
    /// The receiver cannot be verified.
    #[error("TLS to the webhook cannot be set up: {0}")]
    Tls(TlsError),
}

impl WebhookUrl {
    /// Returns what a request goes to.
    pub(super) fn uri(&self) -> &Uri {
        self.0.uri()
    }

    /// Returns whether requests to it are encrypted.
    pub(super) fn is_https(&self) -> bool {
        self.0.is_https()
    }
}

impl FromStr for WebhookUrl {
    type Err = InvalidWebhook;

    fn from_str(text: &str) -> Result<Self, InvalidWebhook> {
        let url: HttpUrl = text.parse().map_err(|_| InvalidWebhook::Url)?;
        let encryption = match (url.is_https(), url.fragment()) {
            (true, None) => Encryption::Required,
            (false, None) => Encryption::Unspecified,
            (false, Some("tls=none")) => Encryption::Declined,
            _ => return Err(InvalidWebhook::Url),
        };
        encryption::check(CONNECTION, encryption, [url.host()]).map_err(InvalidWebhook::PlainText)?;
        Ok(Self(url))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_http_or_https_with_a_host_and_without_a_user() {
        for good in
            ["http://details#tls=none", "https://details.example:8443/a?b=c", "http://[::1]:80/", "http://127.0.0.2/x"]
        {
            assert!(good.parse::<WebhookUrl>().is_ok(), "{good}");
        }
        for wrong in [
            "",
            "details.example",
            "/user",
            "ftp://details.example",
            "https://",
            "https:///user",
            "http://:80/",
            "http://details:0/",
            "http://details:99999/",
            "http://ada:hunter2@details.example/",
            "https://details.example/#user",
            "https://details example/",
            "https://details.example/#tls=none",
            "http://details.example/#tls=none#",
            // Tokens in plain text.
            "http://details.example/",
            "http://10.0.0.1/x",
        ] {
            assert!(wrong.parse::<WebhookUrl>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_none(text in "\\PC*|https?://[a-z0-9@:#/.\\[\\]]{0,30}") {
            if let Ok(url) = text.parse::<WebhookUrl>() {
                prop_assert!(url.uri().host().is_some_and(|host| !host.is_empty()));
            }
        }
    }
}
