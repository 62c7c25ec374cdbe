//! The URLs at which users reach this server.

use std::net::SocketAddr;

use crate::{config::Settings, start::scheme};

/// The URLs at which users reach this server, each without a slash at its end.
pub(crate) struct ReachedAt {
    /// That of programs: as configured, or the issuer, or the address it listens on. New databases keep it as the issuer.
    pub(crate) public_url: String,
    /// That of browsers. It differs where nothing is configured and the server listens on this machine alone: then it
    /// has the name `localhost`, because a browser has separate cookies for the address, and no passkeys.
    pub(crate) browser_url: String,
}

impl ReachedAt {
    pub(crate) fn new(settings: &Settings, public_url: &str, listening: &[SocketAddr]) -> Self {
        let is_configured = settings.public_url.is_some() || settings.issuer.as_deref() == Some(public_url);
        let local = listening.first().filter(|address| address.ip().is_loopback() && !is_configured);
        let browser_url = match local {
            Some(address) => format!("{}://localhost:{}", scheme(settings), address.port()),
            None => public_url.to_owned(),
        };
        Self { public_url: public_url.to_owned(), browser_url }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn browser_url(key: &str, value: &str, address: &str) -> String {
        let mut sources = Sources::default();
        sources.flags.insert(key.to_owned(), value.to_owned());
        let settings = sources.settings().unwrap().1;
        let public_url = crate::start::public_url(&settings, &format!("http://{address}"));
        ReachedAt::new(&settings, &public_url, &[address.parse().unwrap()]).browser_url
    }

    #[test]
    fn a_browser_on_this_machine_is_told_the_name_and_not_the_address() {
        assert_eq!(browser_url("log", "info", "127.0.0.1:8080"), "http://localhost:8080");
        assert_eq!(browser_url("log", "info", "[::1]:8080"), "http://localhost:8080");
        assert_eq!(browser_url("log", "info", "192.0.2.1:8080"), "http://192.0.2.1:8080");
        assert_eq!(browser_url("public_url", "https://a.example/", "127.0.0.1:8080"), "https://a.example");
        assert_eq!(browser_url("issuer", "https://a.example", "127.0.0.1:8080"), "https://a.example");
        assert_eq!(browser_url("issuer", "urn:a", "127.0.0.1:8080"), "http://localhost:8080");
    }
}
