//! The way of a mail to a mail server.
//!
//! Command by command, over lettre's connections: lettre's own transport does not tell which command was refused. A mailbox that
//! is refused is refused for good; when the server refuses *us*, somebody has to set it right, and no mail may be lost meanwhile.
//! Which of the two a refusal is, `refusal` says.

use std::{
    borrow::Cow,
    fmt,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use authy_core::{
    Secret,
    encryption::{self, Encryption, Link},
    engine::DeliveryError,
    tls::Roots,
};
use lettre::{
    address::Envelope,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use url::{Host, Url};

use super::refusal::{Refusal, Step};
use crate::start::Failure;

/// How long one mail may take. RFC 5321 would have us wait for ten minutes after the last line, but we come again; and the
/// relay gives two letters of one event two minutes.
const PATIENCE: Duration = Duration::from_secs(45);

/// How long to wait for a connection.
const CONNECTING: Duration = Duration::from_secs(10);

/// For how long a connection is kept for the next mail: servers close idle ones after minutes.
const KEPT: Duration = Duration::from_secs(30);

/// Where a mail server is, as a URL.
#[derive(Clone, Debug)]
pub struct SmtpUrl {
    host: String,
    port: u16,
    security: Security,
    hello: Option<String>,
    login: Option<(String, Secret)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Security {
    None,
    /// STARTTLS when the server offers it.
    Opportunistic,
    /// STARTTLS, or nothing.
    Required,
    /// TLS from the first byte.
    Wrapper,
}

/// Why a text is no [`SmtpUrl`]; it never repeats the text, which may have a password in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSmtpUrl(Cow<'static, str>);

const LINK: Link = Link {
    carries: "mails with one-time codes",
    encrypted: "smtps:// or smtp://…?tls=required",
    declined: "smtp://…?tls=none",
};

impl FromStr for SmtpUrl {
    type Err = InvalidSmtpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidSmtpUrl> {
        const EXPECTED: InvalidSmtpUrl = InvalidSmtpUrl(Cow::Borrowed(
            "must be the URL of a mail server: smtps://user:password@mail.example, smtp://mail.example?tls=required \
             (STARTTLS), or smtp://localhost",
        ));
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let (mut tls, mut pairs) = (None, url.query_pairs());
        if let Some((key, value)) = pairs.next() {
            tls = Some((key == "tls").then_some(value).ok_or(EXPECTED)?);
        }
        // The ports of RFC 5321, RFC 6409 and RFC 8314.
        let (security, port, encryption) = match (url.scheme(), tls.as_deref()) {
            ("smtp", None) => (Security::None, 25, Encryption::Unspecified),
            ("smtp", Some("none")) => (Security::None, 25, Encryption::Declined),
            ("smtp", Some("opportunistic")) => (Security::Opportunistic, 587, Encryption::Unspecified),
            ("smtp", Some("required")) => (Security::Required, 587, Encryption::Required),
            ("smtps", None) => (Security::Wrapper, 465, Encryption::Required),
            _ => return Err(EXPECTED),
        };
        if pairs.next().is_some() || url.fragment().is_some() {
            return Err(EXPECTED);
        }
        let host = url.host().ok_or(EXPECTED)?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| EXPECTED);
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some((decoded(user)?, Secret::new(decoded(password)?))),
            _ => return Err(EXPECTED),
        };
        let hello = url.path().trim_matches('/');
        let hello = (!hello.is_empty()).then(|| decoded(hello)).transpose()?;
        if hello.as_ref().is_some_and(|name| !name.chars().all(|c| c.is_ascii_graphic())) {
            return Err(EXPECTED);
        }
        let host = match host {
            // Without the brackets of the URL.
            Host::Ipv6(address) => address.to_string(),
            Host::Domain(name) => ascii(&decoded(name)?).ok_or(EXPECTED)?,
            Host::Ipv4(address) => address.to_string(),
        };
        encryption::check(LINK, encryption, [host.as_str()])
            .map_err(|refused| InvalidSmtpUrl(refused.to_string().into()))?;
        Ok(Self { host, port: url.port().unwrap_or(port), security, hello, login })
    }
}

/// A host name as the DNS and certificates have it: the URL parser leaves that to the schemes of the web.
fn ascii(host: &str) -> Option<String> {
    match host.is_ascii() {
        true => Some(host.to_owned()),
        false => idna::domain_to_ascii_strict(host).ok(),
    }
}

/// A mail server.
pub(super) struct SmtpServer {
    host: String,
    port: u16,
    security: Security,
    tls: Option<TlsParameters>,
    hello: ClientId,
    credentials: Option<Credentials>,
    idle: Mutex<Vec<Idle>>,
    /// Whether it has accepted a recipient since the start, so that it is not us whom it refuses.
    accepts_us: AtomicBool,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServer").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl SmtpServer {
    pub(super) fn new(url: &SmtpUrl, roots: &Roots) -> Result<Self, Failure> {
        let tls = match url.security {
            Security::None => None,
            _ => Some(
                tls(&url.host, roots).map_err(|error| format!("TLS to the mail server cannot be set up: {error}"))?,
            ),
        };
        Ok(Self {
            host: url.host.clone(),
            port: url.port,
            security: url.security,
            tls,
            hello: url.hello.clone().map_or_else(ClientId::default, ClientId::Domain),
            credentials: url
                .login
                .as_ref()
                .map(|(user, password)| Credentials::new(user.clone(), password.expose().to_owned())),
            idle: Mutex::default(),
            accepts_us: AtomicBool::new(false),
        })
    }

    /// Hands a mail over.
    pub(super) async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), DeliveryError> {
        let handed = timeout(PATIENCE, async {
            let mut connection = self.connection().await?;
            match self.hand_over(&mut connection, envelope, mail).await {
                Ok(()) => self.keep(connection),
                Err(failure) => {
                    connection.abort().await;
                    return Err(failure);
                }
            }
            Ok(())
        });
        handed.await.unwrap_or_else(|_| Err(DeliveryError::retryable("the mail server did not answer in time")))
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        while let Some(mut connection) = self.take() {
            // It may have been closed meanwhile.
            if connection.test_connected().await {
                return Ok(connection);
            }
        }
        let unreachable =
            |error: Error| DeliveryError::retryable("the mail server cannot be talked to").with_source(error);
        let (wrapper, upgrade) = match self.security {
            Security::Wrapper => (self.tls.clone(), None),
            _ => (None, self.tls.clone()),
        };
        let server = (self.host.as_str(), self.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(server, Some(CONNECTING), &self.hello, wrapper, None);
        let mut connection = connecting.await.map_err(unreachable)?;
        if let Some(tls) = upgrade
            && (self.security == Security::Required || connection.can_starttls())
        {
            connection.starttls(tls, &self.hello).await.map_err(unreachable)?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if let Err(error) = connection.auth(&mechanisms, credentials).await {
                connection.abort().await;
                // Not in the server's words: a server may repeat what it was sent, and that was the password.
                let code = error.status().map_or_else(|| "no answer".to_owned(), |code| code.to_string());
                return Err(DeliveryError::retryable("the mail server does not accept the login").with_source(code));
            }
        }
        Ok(connection)
    }

    /// The connection that was used last, unless it is too old.
    fn take(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < KEPT);
        idle.pop().map(|idle| idle.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let idle = Idle { connection, since: Instant::now() };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
    }

    /// The transaction of RFC 5321, section 3.3.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        mail: &[u8],
    ) -> Result<(), DeliveryError> {
        let mut parameters = Vec::new();
        // Our own address is ASCII: see `Sender`.
        if !envelope.to().iter().chain(envelope.from()).all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(DeliveryError::permanent("the mail server does not support such addresses (SMTPUTF8)"));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let from = connection.command(Mail::new(envelope.from().cloned(), parameters)).await;
        from.map_err(|error| {
            DeliveryError::retryable("the mail server does not accept the sender").with_source(error)
        })?;
        let refused = |step, error: Error| {
            match Refusal::of(&error, step, self.accepts_us.load(Ordering::Relaxed)) {
                Refusal::OfRecipient => DeliveryError::permanent("the mailbox is refused"),
                Refusal::OfUs => DeliveryError::retryable(match step {
                    Step::Recipient => "the mailbox is refused for now",
                    Step::Mail => "the mail is refused for now",
                }),
            }
            .with_source(error)
        };
        for to in envelope.to() {
            let to = connection.command(Rcpt::new(to.clone(), Vec::new())).await;
            to.map_err(|error| refused(Step::Recipient, error))?;
            self.accepts_us.store(true, Ordering::Relaxed);
        }
        let sent = match connection.command(Data).await {
            Ok(_) => connection.message(mail).await,
            Err(error) => Err(error),
        };
        sent.map(drop).map_err(|error| refused(Step::Mail, error))
    }
}

/// How TLS is spoken to a mail server that one of these authorities vouches for, and none that the library knows.
fn tls(host: &str, roots: &Roots) -> Result<TlsParameters, Failure> {
    let mut tls = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for certificate in roots.certificates()? {
        tls = tls.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
    }
    Ok(tls.build_rustls()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_says_how_to_get_to_the_server() {
        let read = |text: &str| {
            let url: SmtpUrl = text.parse().unwrap();
            (url.host, url.port, url.security)
        };
        let host = |name: &str| name.to_owned();
        assert_eq!(read("smtp://mail.example?tls=none"), (host("mail.example"), 25, Security::None));
        assert_eq!(read("smtp://localhost:2525/me.example"), (host("localhost"), 2525, Security::None));
        assert_eq!(read("smtp://mail.example?tls=required"), (host("mail.example"), 587, Security::Required));
        assert_eq!(read("smtp://localhost?tls=opportunistic"), (host("localhost"), 587, Security::Opportunistic));
        assert_eq!(read("smtps://[::1]"), (host("::1"), 465, Security::Wrapper));
        assert_eq!(read("smtps://mail.bücher.example"), (host("mail.xn--bcher-kva.example"), 465, Security::Wrapper));
        let url: SmtpUrl = "smtps://ada%40shop.example:p%40ss@mail.example".parse().unwrap();
        let (user, password) = url.login.clone().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("ada@shop.example", "p@ss"));
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_no_url_of_a_mail_server_is_refused_and_its_password_not_repeated() {
        for text in [
            "",
            "mail.example",
            "http://mail.example",
            "smtp://",
            "smtps://mail.example?tls=none",
            "smtp://mail.example?ssl=required",
            "smtps://mail.example?tls=required&tls=required",
            "smtps://user@mail.example",
            "smtps://:hunter2@mail.example",
            "smtps://user:hunter2@mail.example:port",
            "smtp://mail.example/me%0d%0aRSET",
            // Everybody on the way would read the password, and the codes in mails.
            "smtp://mail.example",
            "smtp://mail.example?tls=opportunistic",
            "smtp://user:hunter2@mail.example",
            "smtp://user:hunter2@mail.example?tls=opportunistic",
            "smtp://user:hunter2@127.0.0.1.evil.example",
        ] {
            let error = text.parse::<SmtpUrl>().unwrap_err().to_string();
            assert!(error.starts_with("must be") || error.contains("without encryption"), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for text in ["smtp://user:hunter2@localhost:2525", "smtp://user:hunter2@127.0.0.1", "smtp://user:hunter2@[::1]"]
        {
            assert!(text.parse::<SmtpUrl>().is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text: String, rest in "[ -~]{0,40}") {
            let _ = (text.parse::<SmtpUrl>(), format!("smtp://{rest}").parse::<SmtpUrl>());
        }
    }
}
