//! The client: calls endpoints of one server, with a token or without.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use authy_core::{
    Authenticator, ErrorKind, Identity, Level, Secret,
    api::{
        Endpoint, Nothing, PathParams as _,
        session::{CheckAccess, Login},
    },
    claims::{MAX_TOKEN_LENGTH, dangerous_unverified_claims},
    encryption::{self, ConnectionKind, Encryption},
    http_url::HttpUrl,
    tls::{self, Roots},
};
use http::HeaderValue;
use rustls::ClientConfig;

use crate::{
    Error, Result,
    transport::{HttpTransport, PreparedRequest},
};

/// A client of one server. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<HttpTransport>,
    token: Option<HeaderValue>,
    device_token: Option<HeaderValue>,
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

impl Client {
    /// Begins a client of the server at this URL, such as `https://auth.example.org`.
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

    /// Returns the client with an access token, which is sent with every call.
    #[must_use]
    pub fn with_token(&self, token: Secret) -> Self {
        // A text that a header cannot contain is not a token; the server refuses this one as well.
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .unwrap_or(HeaderValue::from_static("Bearer invalid"));
        value.set_sensitive(true);
        Self { token: Some(value), ..self.clone() }
    }

    /// Returns the client of a device that has logged in before: [`login`](Self::login) sends the
    /// [`device_token`](authy_core::api::session::Tokens::device_token) of an earlier login, so that password guesses
    /// from other devices do not delay it.
    #[must_use]
    pub fn with_device_token(&self, token: &Secret) -> Self {
        // A text that a header cannot contain is not a device token, and is not sent.
        let mut value = HeaderValue::try_from(token.expose()).ok();
        value.iter_mut().for_each(|value| value.set_sensitive(true));
        Self { device_token: value, ..self.clone() }
    }

    /// Calls an endpoint.
    ///
    /// A request is retried after a pause when that is safe: a GET that failed or was answered "not now", and any
    /// request that the server has certainly not begun to execute.
    ///
    /// # Errors
    /// The answer of the server when it is an error, or the reason why there is none: see [`Error`].
    pub async fn call<E: Endpoint>(&self, path: E::Path, request: E::Request) -> Result<E::Response> {
        let mut prepared = PreparedRequest::new::<E>(path.fill(E::INFO.path), &request, self.token.clone())?;
        // No other endpoint reads it.
        prepared.device_token = self.device_token.clone().filter(|_| E::INFO.path == Login::INFO.path);
        self.transport.send_with_retries(prepared).await
    }

    /// Returns this client without its device token, which is for logins only.
    pub(crate) fn without_device_token(&self) -> Self {
        Self { device_token: None, ..self.clone() }
    }

    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    pub(crate) fn url(&self) -> &str {
        self.transport.url()
    }

    pub(crate) fn transport(&self) -> &HttpTransport {
        &self.transport
    }
}

/// Asks the server about each token.
#[async_trait]
impl Authenticator for Client {
    async fn authenticate(&self, token: &str) -> authy_core::Result<Identity> {
        let invalid = || authy_core::Error::new(ErrorKind::InvalidToken, "the token is not valid");
        // A text that is not a token costs no request.
        let claims = dangerous_unverified_claims(token)?;
        if token.len() > MAX_TOKEN_LENGTH || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid());
        }
        let lowest = (Level::clamped(u32::MAX),);
        let asked = self.with_token(Secret::new(token)).call::<CheckAccess>(lowest, Nothing {}).await;
        let granted = asked.map_err(Error::into_authentication_error)?;
        // The server has accepted exactly this token, so its claims are true. An answer about another user could only
        // come from a proxy that mixes answers up.
        if granted.public_id != claims.public_id {
            return Err(invalid());
        }
        let identity = claims.into_identity();
        Ok(Identity { username: Some(granted.username), roles: Some(granted.roles), ..identity })
    }
}

impl ClientBuilder {
    /// Sets the maximum time for one attempt; ten seconds when not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum number of retries; two when not set.
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
    /// When the URL cannot be used or is plain http to another machine, or TLS cannot be set up.
    pub fn build(self) -> Result<Client> {
        let url = HttpUrl::parse_base(&self.url)
            .map_err(|cause| Error::misuse("the server's URL cannot be used").because(cause))?;
        if !url.is_https() {
            let encryption = match self.plain_http_anywhere {
                true => Encryption::Declined,
                false => Encryption::Unspecified,
            };
            let refused = |cause| Error::misuse("plain http sends passwords and tokens unencrypted").because(cause);
            encryption::check(CONNECTION, encryption, [url.host()]).map_err(refused)?;
        }
        let tls = match self.tls {
            Some(tls) => tls,
            None => {
                let add = |roots: Roots, pem: &Vec<u8>| roots.with_pem(pem);
                let roots = self.private_roots.iter().try_fold(Roots::platform(), add);
                let config =
                    roots.and_then(|roots| if url.is_https() { roots.client_config() } else { tls::without_roots() });
                config.map_err(|cause| Error::misuse("TLS cannot be set up").because(cause))?
            }
        };
        let transport = HttpTransport::new(url, self.timeout, self.retries, tls);
        Ok(Client { transport: Arc::new(transport), token: None, device_token: None })
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
    fn a_token_is_never_shown() {
        let client = Client::builder("http://localhost").build().unwrap().with_token(Secret::new("hunter2"));
        let client = client.with_device_token(&Secret::new("hunter2"));
        assert!(!format!("{client:?}").contains("hunter2"));
    }
}
