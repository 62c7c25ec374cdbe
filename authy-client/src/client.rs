//! The client: where the server is, how to talk to it, and with whose token.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use authy_core::{
    Authenticator, ErrorKind, Identity, Level, Secret,
    api::{
        Endpoint, Nothing, PathParams as _,
        session::{CheckAccess, Login},
    },
    claims::{MAX_TOKEN_LENGTH, dangerous_unverified_claims},
    encryption::{self, Encryption, Link},
    tls::{self, Roots},
};
use http::{HeaderValue, Uri};
use rustls::ClientConfig;

use crate::{
    Error, Result, VerifierBuilder,
    transport::{Asked, Transport},
};

/// A client of one server. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<Transport>,
    token: Option<HeaderValue>,
    device_token: Option<HeaderValue>,
}

/// How a client is made.
#[derive(Clone, Debug)]
pub struct Builder {
    url: String,
    timeout: Duration,
    retries: usize,
    tls: Option<ClientConfig>,
    private_roots: Vec<Vec<u8>>,
    plain_http_anywhere: bool,
}

impl Client {
    /// Begins with the server's URL, such as `https://auth.example.org`.
    pub fn builder(url: &str) -> Builder {
        Builder {
            url: url.trim_end_matches('/').to_owned(),
            // The server itself gives up hashing after ten seconds, and answers everything else in milliseconds.
            timeout: Duration::from_secs(10),
            // Enough for a server that is being replaced, little enough not to multiply an overload.
            retries: 2,
            tls: None,
            private_roots: Vec::new(),
            plain_http_anywhere: false,
        }
    }

    /// The same client with somebody's token.
    #[must_use]
    pub fn with_token(&self, token: Secret) -> Self {
        // What cannot stand in a header is no token; the server says so of an empty one.
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .unwrap_or(HeaderValue::from_static("Bearer invalid"));
        value.set_sensitive(true);
        Self { token: Some(value), ..self.clone() }
    }

    /// The same client on a device that has logged in before: [`login`](Self::login) sends the
    /// [`device_token`](authy_core::api::session::Tokens::device_token) of an earlier one, so that the guesses of others do not
    /// hold it up.
    #[must_use]
    pub fn with_device_token(&self, token: &Secret) -> Self {
        // What cannot stand in a header is no device token, and then the login has none.
        let mut value = HeaderValue::try_from(token.expose()).ok();
        value.iter_mut().for_each(|value| value.set_sensitive(true));
        Self { device_token: value, ..self.clone() }
    }

    /// Calls an endpoint.
    ///
    /// What is safe to repeat is repeated after a pause: a GET that found nobody or "not now", and anything that was surely
    /// not begun.
    ///
    /// # Errors
    /// What the server said, or why it could not be asked.
    pub async fn call<E: Endpoint>(&self, path: E::Path, request: E::Request) -> Result<E::Response> {
        let mut asked = Asked::of::<E>(path.fill(E::INFO.path), &request, self.token.clone())?;
        // Nobody else has any use for it.
        asked.device_token = self.device_token.clone().filter(|_| E::INFO.path == Login::INFO.path);
        self.transport.ask(asked).await
    }

    /// Verifies tokens here, without a request each.
    ///
    /// The token of this client, when it has one, is sent when the stream of revocations is opened, so that the verifier has a
    /// place among the named followers of the server. A service that runs for longer than its token is better named by its network
    /// (`AUTHY_FOLLOWER_NETWORKS` of the server).
    pub fn verifier(&self) -> VerifierBuilder {
        VerifierBuilder::new(Self { device_token: None, ..self.clone() })
    }

    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    pub(crate) fn url(&self) -> &str {
        self.transport.url()
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }
}

/// Asks the server, each time.
#[async_trait]
impl Authenticator for Client {
    async fn authenticate(&self, token: &str) -> authy_core::Result<Identity> {
        let invalid = || authy_core::Error::new(ErrorKind::InvalidToken, "the token is not valid");
        // What is no token at all is not worth a request.
        let claims = dangerous_unverified_claims(token)?;
        if token.len() > MAX_TOKEN_LENGTH || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid());
        }
        let anybody = (Level::clamped(u32::MAX),);
        let asked = self.with_token(Secret::new(token)).call::<CheckAccess>(anybody, Nothing {}).await;
        let granted = asked.map_err(Error::into_authentication_error)?;
        // The server has said yes to exactly this token, so what it says is true. That the answer is about another user
        // cannot happen, unless something in between mixes answers up.
        if granted.public_id != claims.public_id {
            return Err(invalid());
        }
        let identity = claims.into_identity();
        Ok(Identity { username: Some(granted.username), roles: Some(granted.roles), ..identity })
    }
}

impl Builder {
    /// How long one attempt may take; ten seconds when left out.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many times what is safe to repeat is repeated; twice when left out.
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

    /// Sets the TLS configuration that is used instead of the platform's certificate authorities, with a client certificate for
    /// example.
    #[must_use]
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Sends passwords and tokens in plain text to other machines too. Only for a network that nobody else is in.
    #[must_use]
    pub fn dangerous_allow_plain_http(mut self) -> Self {
        self.plain_http_anywhere = true;
        self
    }

    /// The client. Nothing is connected yet.
    ///
    /// # Errors
    /// When the URL is none, is plain http to another machine, or TLS cannot be set up.
    pub fn build(self) -> Result<Client> {
        let uri: Uri = self.url.parse().map_err(|cause| Error::misuse("the server's URL is none").because(cause))?;
        let host = uri.host().unwrap_or_default();
        match uri.scheme_str() {
            _ if host.is_empty() || uri.query().is_some() => return Err(Error::misuse("the server's URL is none")),
            Some("https") => {}
            Some("http") => {
                let encryption = match self.plain_http_anywhere {
                    true => Encryption::Declined,
                    false => Encryption::Unspecified,
                };
                let refused = |cause| Error::misuse("plain http sends passwords and tokens unencrypted").because(cause);
                encryption::check(LINK, encryption, [host]).map_err(refused)?;
            }
            _ => return Err(Error::misuse("the server's URL must begin with https:// or http://")),
        }
        let tls = match self.tls {
            Some(tls) => tls,
            None => {
                let add = |roots: Roots, pem: &Vec<u8>| roots.with_pem(pem);
                let roots = self.private_roots.iter().try_fold(Roots::platform(), add);
                let is_used = uri.scheme_str() == Some("https");
                let config = roots.and_then(|roots| if is_used { roots.client_config() } else { tls::without_roots() });
                config.map_err(|cause| Error::misuse("TLS cannot be set up").because(cause))?
            }
        };
        let transport = Transport::new(self.url, self.timeout, self.retries, tls);
        Ok(Client { transport: Arc::new(transport), token: None, device_token: None })
    }
}

const LINK: Link =
    Link { carries: "passwords and tokens", encrypted: "https://", declined: "`Builder::dangerous_allow_plain_http`" };

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
