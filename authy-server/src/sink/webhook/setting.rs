//! Where the webhook is.

use std::str::FromStr;

use authy_core::{
    encryption::{self, Encryption, Link, PlainTextRefused},
    tls::TlsError,
};
use http::Uri;

const LINK: Link =
    Link { carries: "access tokens of new users", encrypted: "https://", declined: "http://…#tls=none" };

/// The URL of a webhook: https, or http to this machine, or http to another machine with `#tls=none` at the end (a fragment is
/// never sent). It contains no secret.
#[derive(Clone, Debug)]
pub struct WebhookUrl(Uri);

/// Why a webhook cannot be used.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhook {
    /// The URL is none.
    #[error("must be an http or https URL, such as https://details.example/user, without a user name or a fragment")]
    Url,
    /// Tokens would be sent to another machine without encryption.
    #[error("{0}")]
    PlainText(PlainTextRefused),
    /// A secret is none.
    #[error(
        "must be whsec_ and base64 of 24 to 64 random bytes, several separated by commas: `echo whsec_$(openssl rand -base64 32)` prints one"
    )]
    Secret,
    /// The receiver could not be recognized.
    #[error("TLS to the webhook cannot be set up: {0}")]
    Tls(TlsError),
}

impl WebhookUrl {
    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl FromStr for WebhookUrl {
    type Err = InvalidWebhook;

    fn from_str(text: &str) -> Result<Self, InvalidWebhook> {
        // The library drops fragments, whatever they say.
        let (text, declined) = match text.split_once('#') {
            None => (text, false),
            Some((text, "tls=none")) => (text, true),
            Some(_) => return Err(InvalidWebhook::Url),
        };
        let uri: Uri = text.parse().map_err(|_| InvalidWebhook::Url)?;
        let authority = uri.authority().ok_or(InvalidWebhook::Url)?;
        // A password in a URL would be shown with the settings, and nobody would send it.
        let is_plain = !authority.as_str().contains('@') && !authority.host().is_empty();
        // A port that is none is not refused by the library.
        let has_port = authority.as_str().len() > authority.host().len();
        let is_reachable = !has_port || authority.port_u16().is_some_and(|port| port != 0);
        let encryption = match (uri.scheme_str(), declined) {
            _ if !is_plain || !is_reachable => return Err(InvalidWebhook::Url),
            (Some("https"), false) => Encryption::Required,
            (Some("http"), false) => Encryption::Unspecified,
            (Some("http"), true) => Encryption::Declined,
            _ => return Err(InvalidWebhook::Url),
        };
        encryption::check(LINK, encryption, [authority.host()]).map_err(InvalidWebhook::PlainText)?;
        Ok(Self(uri))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_http_or_https_and_names_a_host_and_nobody() {
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
