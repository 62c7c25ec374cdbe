//! From PEM files to a TLS configuration.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use authy_core::file;
use chrono::{DateTime, Utc};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use zeroize::Zeroizing;

use super::{HTTP1, HTTP2, TlsFiles};

/// TLS files that cannot be used.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// A file cannot be read, or is not safe to use.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has no certificate.
    #[error("{0} contains no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate(PathBuf),
    /// A file has a certificate that cannot be parsed.
    #[error("{0} contains a certificate that cannot be parsed")]
    WrongCertificate(PathBuf),
    /// A file has no private key.
    #[error("{0} contains no unencrypted private key in PEM form (-----BEGIN PRIVATE KEY-----)")]
    NoKey(PathBuf),
    /// The key is not that of the certificate, or of a kind that is not supported.
    #[error(
        "the key in {key} is not that of the first certificate in {certificate}, or of a kind that is not supported"
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Unsupported(#[source] rustls::Error),
}

/// What the files contain.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_authorities: Option<Vec<u8>>,
}

/// What is in use.
pub(super) struct Loaded {
    pub(super) contents: Contents,
    pub(super) config: Arc<ServerConfig>,
    pub(super) not_after: DateTime<Utc>,
}

impl Contents {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsFileError> {
        let read = |path: &Path, content| {
            file::read(path, content).map_err(|source| TlsFileError::Unreadable { path: path.to_owned(), source })
        };
        let authorities = files.client_authorities.as_deref();
        Ok(Self {
            certificate: read(&files.certificate, file::Content::Trusted)?,
            key: read(&files.key, file::Content::Secret)?.into(),
            client_authorities: authorities.map(|path| read(path, file::Content::Trusted)).transpose()?,
        })
    }

    pub(super) fn load(self, files: &TlsFiles) -> Result<Loaded, TlsFileError> {
        let chain = certificates(&self.certificate, &files.certificate)?;
        let not_after = not_after(&chain, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsFileError::NoKey(files.key.clone()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|source| TlsFileError::Mismatch {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            source,
        })?;
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(TlsFileError::Unsupported)?;
        let builder = match (&self.client_authorities, &files.client_authorities) {
            (Some(pem), Some(path)) => builder.with_client_cert_verifier(client_verifier(pem, path)?),
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Loaded { config: Arc::new(config), not_after, contents: self })
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|_| TlsFileError::WrongCertificate(path.to_owned()))?;
    if found.is_empty() { Err(TlsFileError::NoCertificate(path.to_owned())) } else { Ok(found) }
}

fn not_after(chain: &[CertificateDer<'_>], path: &Path) -> Result<DateTime<Utc>, TlsFileError> {
    let wrong = || TlsFileError::WrongCertificate(path.to_owned());
    let first = chain.first().ok_or_else(wrong)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(first).map_err(|_| wrong())?;
    DateTime::from_timestamp(parsed.validity().not_after.timestamp(), 0).ok_or_else(wrong)
}

/// Verifies a client's certificate when there is one. Most clients have none.
fn client_verifier(pem: &[u8], path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsFileError> {
    let wrong = || TlsFileError::WrongCertificate(path.to_owned());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, path)? {
        roots.add(certificate).map_err(|_| wrong())?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    builder.allow_unauthenticated().build().map_err(|_| wrong())
}
