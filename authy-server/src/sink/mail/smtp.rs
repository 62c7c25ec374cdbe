//! Sends mails to a mail server.
//!
//! The commands are sent one by one over lettre's connections, because lettre's own transport does not say which
//! command was refused. A mail to a refused mailbox is given up; when the server refuses *us*, an operator has to
//! correct a setting, and no mail may be lost meanwhile. `refused_party` distinguishes the two.

use std::{
    error::Error as StdError,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use authy_core::{
    engine::DeliveryError,
    tls::{Roots, TlsError},
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
use tokio::time::timeout;

use super::{
    line_stream::LineStream,
    refused_party::{RefusedParty, SmtpStep},
    smtp_url::{SmtpSecurity, SmtpUrl},
};

/// Maximum time for one mail. RFC 5321 recommends to wait ten minutes after the last line, but a mail is sent again,
/// and the relay allows two minutes for the two mails of one event.
const SMTP_SEND_TIMEOUT: Duration = Duration::from_secs(45);

/// Maximum time for opening a connection.
const SMTP_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time for which a connection is kept for the next mail: servers close idle ones after minutes.
const SMTP_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// TLS to the mail server cannot be set up.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
#[error("TLS to the mail server cannot be set up")]
pub enum SmtpTlsError {
    /// There are no certificate authorities.
    Roots(#[from] TlsError),
    /// The mail library refuses a certificate or the name of the server.
    Library(#[from] Error),
}

/// A mail server.
pub(super) struct SmtpServer {
    host: String,
    port: u16,
    security: SmtpSecurity,
    tls: Option<TlsParameters>,
    hello: ClientId,
    credentials: Option<Credentials>,
    idle: Mutex<Vec<IdleConnection>>,
    /// Whether it has accepted a recipient since the start: then a refused recipient is not refused because of us.
    has_accepted_recipient: AtomicBool,
}

struct IdleConnection {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServer").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl SmtpServer {
    pub(super) fn new(url: &SmtpUrl, roots: &Roots) -> Result<Self, SmtpTlsError> {
        let tls = match url.security {
            SmtpSecurity::None => None,
            _ => Some(tls(&url.host, roots)?),
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
            has_accepted_recipient: AtomicBool::new(false),
        })
    }

    /// Opens a connection, and closes it.
    pub(super) async fn check(&self) -> Result<(), DeliveryError> {
        let checked = timeout(SMTP_CONNECT_TIMEOUT, async {
            self.connection().await?.abort().await;
            Ok(())
        });
        checked.await.unwrap_or_else(|_| Err(DeliveryError::retryable("the mail server did not answer in time")))
    }

    /// Sends a mail.
    pub(super) async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), DeliveryError> {
        let sent = timeout(SMTP_SEND_TIMEOUT, async {
            let mut connection = self.connection().await?;
            match self.transact(&mut connection, envelope, mail).await {
                Ok(()) => self.keep(connection),
                Err(failure) => {
                    connection.abort().await;
                    return Err(failure);
                }
            }
            Ok(())
        });
        sent.await.unwrap_or_else(|_| Err(DeliveryError::retryable("the mail server did not answer in time")))
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        while let Some(mut connection) = self.take_idle() {
            // It may have been closed meanwhile.
            if connection.test_connected().await {
                return Ok(connection);
            }
        }
        let mut connection = self
            .connect()
            .await
            .map_err(|error| DeliveryError::retryable("the connection to the mail server failed").with_source(error))?;
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if let Err(error) = connection.auth(&mechanisms, credentials).await {
                connection.abort().await;
                // Without the server's text: it may repeat what it was sent, and that was the password.
                let code = error.status().map_or_else(|| "no answer".to_owned(), |code| code.to_string());
                return Err(DeliveryError::retryable("the mail server does not accept the login").with_source(code));
            }
        }
        Ok(connection)
    }

    /// Opens a connection, encrypted if the URL asks for it.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Box<dyn StdError + Send + Sync>> {
        let server = (self.host.as_str(), self.port);
        if self.security == SmtpSecurity::Wrapper {
            let (time, tls) = (Some(SMTP_CONNECT_TIMEOUT), self.tls.clone());
            return Ok(AsyncSmtpConnection::connect_tokio1(server, time, &self.hello, tls, None).await?);
        }
        let stream = Box::new(LineStream::connect(server, SMTP_CONNECT_TIMEOUT).await?);
        let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await?;
        if let Some(tls) = self.tls.clone()
            && (self.security == SmtpSecurity::Required || connection.can_starttls())
        {
            connection.starttls(tls, &self.hello).await?;
        }
        Ok(connection)
    }

    /// Takes the connection that was used last, unless it is too old.
    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < SMTP_IDLE_TIMEOUT);
        idle.pop().map(|idle| idle.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let idle = IdleConnection { connection, since: Instant::now() };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
    }

    /// The mail transaction of RFC 5321, section 3.3.
    async fn transact(
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
            match RefusedParty::of(&error, step, self.has_accepted_recipient.load(Ordering::Relaxed)) {
                RefusedParty::Recipient => DeliveryError::permanent("the mailbox is refused"),
                RefusedParty::Sender => DeliveryError::retryable(match step {
                    SmtpStep::Recipient => "the mailbox is refused for now",
                    SmtpStep::Mail => "the mail is refused for now",
                }),
            }
            .with_source(error)
        };
        for to in envelope.to() {
            let to = connection.command(Rcpt::new(to.clone(), Vec::new())).await;
            to.map_err(|error| refused(SmtpStep::Recipient, error))?;
            self.has_accepted_recipient.store(true, Ordering::Relaxed);
        }
        let sent = match connection.command(Data).await {
            Ok(_) => connection.message(mail).await,
            Err(error) => Err(error),
        };
        sent.map(drop).map_err(|error| refused(SmtpStep::Mail, error))
    }
}

/// TLS to a mail server that these authorities verify, in place of those that the library knows.
fn tls(host: &str, roots: &Roots) -> Result<TlsParameters, SmtpTlsError> {
    let mut tls = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for certificate in roots.certificates()? {
        tls = tls.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
    }
    Ok(tls.build_rustls()?)
}
