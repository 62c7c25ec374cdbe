//! TLS of the listener: a certificate and its key from files, which are read again while the server runs.
//!
//! The files are compared by their content: a certificate manager may replace them in ways that no file watcher sees, such as the
//! symbolic links of Kubernetes, or a network file system.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use rustls::ServerConfig;
use tokio::{task::spawn_blocking, time::sleep};

mod files;

pub use files::TlsFileError;
use files::{Contents, Loaded};

/// The name of HTTP/2 in a handshake (RFC 9113, section 3.1).
pub(crate) const HTTP2: &[u8] = b"h2";

/// The name of HTTP/1.1 in a handshake.
const HTTP1: &[u8] = b"http/1.1";

/// Interval at which the files are compared with what is in use.
const COMPARE_INTERVAL: Duration = Duration::from_secs(10);

/// The files of the listener's TLS, in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those of the intermediate authorities.
    pub certificate: PathBuf,
    /// The private key of the certificate: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// The authorities of the clients' certificates. A client that has none connects all the same.
    pub client_authorities: Option<PathBuf>,
}

/// What a look at the files resulted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// They contain what is in use.
    Unchanged,
    /// They contained something new, which new connections use from now on.
    Replaced,
}

/// TLS of a listener. Clones share what is in use.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    current: ArcSwap<Loaded>,
    /// When the certificate in use expires, in seconds since 1970.
    expiry: Arc<AtomicI64>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsFileError`] when one of them cannot be used, or the key is not that of the certificate.
    pub fn open(files: TlsFiles) -> Result<Self, TlsFileError> {
        let loaded = Contents::read(&files)?.load(&files)?;
        let expiry = Arc::new(AtomicI64::new(loaded.not_after.timestamp()));
        Ok(Self(Arc::new(Shared { current: ArcSwap::from_pointee(loaded), files, expiry })))
    }

    /// Reads the files again, and uses what is new in them for new connections. When it cannot be used, nothing changes: a certificate
    /// may be there a moment before its key.
    ///
    /// # Errors
    /// [`TlsFileError`], as [`open`](Self::open).
    pub fn reload(&self) -> Result<Reload, TlsFileError> {
        let Shared { files, current, expiry } = &*self.0;
        let found = Contents::read(files)?;
        if found == current.load().contents {
            return Ok(Reload::Unchanged);
        }
        let loaded = found.load(files)?;
        expiry.store(loaded.not_after.timestamp(), Ordering::Relaxed);
        current.store(Arc::new(loaded));
        Ok(Reload::Replaced)
    }

    /// Returns the time at which the certificate in use expires.
    pub fn not_after(&self) -> DateTime<Utc> {
        self.0.current.load().not_after
    }

    /// Reads the files again every ten seconds, and logs what becomes of it. Never returns. A [`Server`](crate::Server) does so
    /// while it serves.
    pub async fn follow_files(&self) {
        let mut refused = None;
        loop {
            sleep(COMPARE_INTERVAL).await;
            let tls = self.clone();
            // A network file system may hang.
            refused = spawn_blocking(move || tls.reload_and_log(refused)).await.unwrap_or_default();
        }
    }

    /// Returns the message of the refusal, if any. One that was logged already is not logged again.
    pub(crate) fn reload_and_log(&self, logged: Option<String>) -> Option<String> {
        match self.reload() {
            Ok(Reload::Unchanged) => None,
            Ok(Reload::Replaced) => {
                tracing::info!(expires = %self.not_after(), "the TLS certificate was replaced");
                None
            }
            Err(error) => {
                let message = authy_core::error::chain(&error).to_string();
                if logged.as_ref() != Some(&message) {
                    let expires = self.not_after();
                    tracing::warn!(error = message, %expires, "the TLS files cannot be used: the previous certificate stays in use");
                }
                Some(message)
            }
        }
    }

    /// Returns the expiry of the certificate that is in use at the time, in seconds since 1970.
    pub(crate) fn expiry(&self) -> Arc<AtomicI64> {
        self.0.expiry.clone()
    }

    /// Returns the configuration for the next connection.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.current.load().config.clone()
    }
}
