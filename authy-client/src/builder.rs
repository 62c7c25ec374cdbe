//! Configures and builds a client.

use std::time::Duration;

use authy_core::{
    encryption,
    http_url::HttpUrl,
    tls::{self, Roots},
};
use rustls::ClientConfig;

use crate::{client::Client, transport::HttpTransport};

mod error;

pub use error::BuildError;

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
    /// [`BuildError::Url`] when the text is not a URL, [`BuildError::PlainHttp`] when it is plain http to another machine,
    /// and [`BuildError::Tls`] when TLS cannot be set up.
    pub fn build(self) -> Result<Client, BuildError> {
        // The URL of the endpoints, instead of that of the server, is an easy mistake.
        let base = self.url.trim_end_matches('/');
        let url = HttpUrl::parse_base(base.strip_suffix("/authy").unwrap_or(base)).map_err(BuildError::Url)?;
        if !url.is_https() && !self.plain_http_anywhere && !encryption::is_local(url.host()) {
            return Err(BuildError::PlainHttp { host: url.host().to_owned() });
        }
        let tls = match self.tls {
            Some(tls) => tls,
            None => {
                let add = |roots: Roots, pem: &Vec<u8>| roots.with_pem(pem);
                let roots = self.private_roots.iter().try_fold(Roots::platform(), add);
                let config =
                    roots.and_then(|roots| if url.is_https() { roots.client_config() } else { tls::without_roots() });
                config.map_err(BuildError::Tls)?
            }
        };
        Ok(Client::new(HttpTransport::new(url, self.timeout, self.retries, tls)))
    }
}

#[cfg(test)]
mod tests {
    use authy_core::tls::TlsError;

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
        let refused = |url: &str| Client::builder(url).build().unwrap_err();
        let none = refused("auth.example.org");
        assert!(matches!(none, BuildError::Url(_)) && none.to_string().contains("such as https://auth.example.org"));
        let plain = refused("http://auth.example.org:8080/authy");
        assert_eq!(plain, BuildError::PlainHttp { host: "auth.example.org".to_owned() });
        let plain = plain.to_string();
        assert!(plain.contains("https://") && plain.contains("dangerous_allow_plain_http"), "{plain}");
        let pem = Client::builder("https://localhost").root_certificate_pem("none").build().unwrap_err();
        assert_eq!(pem, BuildError::Tls(TlsError::NoCertificate));
        assert!(!format!("{0:?} {0}", refused("https://ada:hunter2@example.org")).contains("hunter2"));
    }
}
