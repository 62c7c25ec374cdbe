//! Configures and builds a client.

use std::time::Duration;

use authy_core::{
    encryption::{self, ConnectionKind, Encryption},
    http_url::HttpUrl,
    tls::{self, Roots},
};
use rustls::ClientConfig;

use crate::{Error, Result, client::Client, transport::HttpTransport};

impl Client {
    /// Begins a client of the server at this URL, such as `https://auth.example.org`. `/authy`, with which the paths of
    /// the endpoints begin, can be at its end or not.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder {
            url: url.to_owned(),
            // The server itself gives up hashing after ten seconds, and answers everything else in milliseconds.
            timeout: Duration::from_secs(10),
            // Enough while a server is replaced, few enough not to multiply an overload.
            retries: 2,
            tls: None,
            private_roots: Vec::new(),
            plain_http_anywhere: false,
        }
    }
}

/// Configures and builds a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    url: String,
    timeout: Duration,
    retries: usize,
    tls: Option<ClientConfig>,
    private_roots: Vec<Vec<u8>>,
    plain_http_anywhere: bool,
}

impl ClientBuilder {
    /// Sets the maximum time for one attempt; ten seconds when not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum number of retries of a request; two when not set. [`Client::call`] says which are retried.
    #[must_use]
    pub fn retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// Adds private certificate authorities to the platform's: one certificate or several, in PEM form.
    #[must_use]
    pub fn root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.private_roots.push(pem.into());
        self
    }

    /// Sets the TLS configuration that is used instead of the platform's certificate authorities, with a client
    /// certificate for example.
    #[must_use]
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Permits plain http to other machines, which sends passwords and tokens unencrypted. Only for a network in which
    /// no one else can listen.
    #[must_use]
    pub fn dangerous_allow_plain_http(mut self) -> Self {
        self.plain_http_anywhere = true;
        self
    }

    /// Builds the client. It connects with the first call.
    ///
    /// # Errors
    /// When the URL cannot be used or is plain http to another machine, or TLS cannot be set up. The message says what
    /// to change.
    pub fn build(self) -> Result<Client> {
        // The URL of the endpoints, instead of that of the server, is an easy mistake.
        let base = self.url.trim_end_matches('/');
        // The message leaves the text out, which may contain a password.
        let url = HttpUrl::parse_base(base.strip_suffix("/authy").unwrap_or(base))
            .map_err(|cause| Error::misuse(format!("the text is not the URL of a server: {cause}")))?;
        if !url.is_https() {
            let encryption = match self.plain_http_anywhere {
                true => Encryption::Declined,
                false => Encryption::Unspecified,
            };
            encryption::check(CONNECTION, encryption, [url.host()])
                .map_err(|cause| Error::misuse(format!("plain http {cause}")))?;
        }
        let tls = match self.tls {
            Some(tls) => tls,
            None => {
                let add = |roots: Roots, pem: &Vec<u8>| roots.with_pem(pem);
                let roots = self.private_roots.iter().try_fold(Roots::platform(), add);
                let config =
                    roots.and_then(|roots| if url.is_https() { roots.client_config() } else { tls::without_roots() });
                config.map_err(|cause| Error::misuse(format!("TLS cannot be set up: {cause}")).because(cause))?
            }
        };
        Ok(Client::new(HttpTransport::new(url, self.timeout, self.retries, tls)))
    }
}

const CONNECTION: ConnectionKind = ConnectionKind {
    carries: "passwords and tokens",
    encrypt_with: "https://",
    permit_plain_text_with: "`ClientBuilder::dangerous_allow_plain_http`",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in
            ["http://127.0.0.1:8080", "http://localhost:8080/", "http://[::1]:8080", "https://auth.example.org/x"]
        {
            assert!(Client::builder(url).build().is_ok(), "{url}");
        }
        for url in
            ["http://auth.example.org", "http://10.0.0.1", "http://localhost.example.org", "ftp://localhost", "", "/"]
        {
            assert!(Client::builder(url).build().is_err(), "{url}");
        }
        assert!(Client::builder("http://10.0.0.1").dangerous_allow_plain_http().build().is_ok());
    }

    #[test]
    fn the_path_of_the_endpoints_may_be_a_part_of_the_url() {
        for (url, base) in [
            ("http://localhost:8080/authy", "http://localhost:8080"),
            ("http://localhost:8080/authy/", "http://localhost:8080"),
            ("https://example.org/sso/authy", "https://example.org/sso"),
            ("https://example.org/not-authy", "https://example.org/not-authy"),
        ] {
            assert_eq!(Client::builder(url).build().unwrap().url(), base);
        }
    }

    #[test]
    fn a_refusal_says_what_to_change() {
        let refused = |url: &str| Client::builder(url).build().unwrap_err().to_string();
        assert!(refused("auth.example.org").contains("such as https://auth.example.org"));
        let plain = refused("http://auth.example.org");
        assert!(plain.contains("https://") && plain.contains("dangerous_allow_plain_http"), "{plain}");
        let pem = Client::builder("https://localhost").root_certificate_pem("none").build().unwrap_err().to_string();
        assert!(pem.contains("PEM"), "{pem}");
        assert!(!refused("https://ada:hunter2@example.org").contains("hunter2"));
    }
}
