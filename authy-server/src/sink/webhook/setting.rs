//! Where the webhook is.

use std::str::FromStr;

use http::Uri;

/// The URL of a webhook: http or https, with a host. What is in it is no secret.
#[derive(Clone, Debug)]
pub struct WebhookUrl(Uri);

/// Why a webhook cannot be used.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhook {
    /// The URL is none.
    #[error("must be an http or https URL, such as https://details.example/user, without a user name or a fragment")]
    Url,
    /// A secret is none.
    #[error(
        "must be whsec_ and base64 of 24 to 64 random bytes, several separated by commas: `echo whsec_$(openssl rand -base64 32)` prints one"
    )]
    Secret,
    /// Nobody could be trusted.
    #[error("this machine has no root certificates to verify an https URL against: install ca-certificates")]
    NoRoots,
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up")]
    NoTls,
}

impl WebhookUrl {
    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// Whether what is sent can be read on its way to another machine.
    pub(super) fn is_in_clear(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        !self.is_https() && !is_here
    }
}

impl FromStr for WebhookUrl {
    type Err = InvalidWebhook;

    fn from_str(text: &str) -> Result<Self, InvalidWebhook> {
        let uri: Uri = text.parse().map_err(|_| InvalidWebhook::Url)?;
        let authority = uri.authority().ok_or(InvalidWebhook::Url)?;
        // A password in a URL would be shown with the settings, and nobody would send it. A fragment is never sent either.
        let is_plain = !authority.as_str().contains('@') && !text.contains('#') && !authority.host().is_empty();
        // A port that is none is not refused by the library.
        let has_port = authority.as_str().len() > authority.host().len();
        let is_reachable = !has_port || authority.port_u16().is_some_and(|port| port != 0);
        match matches!(uri.scheme_str(), Some("http" | "https")) && is_plain && is_reachable {
            true => Ok(Self(uri)),
            false => Err(InvalidWebhook::Url),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_http_or_https_and_names_a_host_and_nobody() {
        for good in ["http://details", "https://details.example:8443/a?b=c", "http://[::1]:80/", "http://10.0.0.1/x"] {
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
        ] {
            assert!(wrong.parse::<WebhookUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_goes_to_another_machine_in_clear_is_known() {
        for (url, in_clear) in [
            ("http://details.example/", true),
            ("http://127.0.0.2:80/", false),
            ("http://[::1]/", false),
            ("http://localhost/", false),
            ("https://details.example/", false),
        ] {
            assert_eq!(url.parse::<WebhookUrl>().unwrap().is_in_clear(), in_clear, "{url}");
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
