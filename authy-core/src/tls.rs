//! The certificate authorities that servers are verified with: the database, the broker, the mail server, the webhook,
//! and authy itself by its clients.
//!
//! They are always loaded by `rustls-native-certs`: the platform's, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR`
//! name, and private ones that are added. `rustls-platform-verifier` is not used, because the libraries for mail and
//! AMQP accept certificates and no verifier, and on Linux it reads the same files.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Certificate authorities: the platform's, private ones, or both.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    private: Vec<CertificateDer<'static>>,
    /// Whether the platform's are left out.
    is_private_only: bool,
}

/// TLS that cannot be set up.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// There are no certificate authorities.
    #[error(
        "this machine has no root certificates to verify servers with: install ca-certificates, or name a PEM file with the \
         certificate of a private authority (AUTHY_TLS_CA, or SSL_CERT_FILE)"
    )]
    NoRoots,
    /// The text contains no certificate, or one that cannot be read.
    #[error("it contains no certificate authority in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Unsupported,
}

impl Roots {
    /// Returns the platform's authorities alone.
    pub fn platform() -> Self {
        Self::default()
    }

    /// Returns private authorities alone, in PEM form, without those of the platform. Other content of the text is
    /// ignored.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`] when there is none in it, or one cannot be read.
    pub fn only_pem(pem: &[u8]) -> Result<Self, TlsError> {
        Ok(Self { is_private_only: true, ..Self::default().with_pem(pem)? })
    }

    /// Adds private authorities, in PEM form. Other content of the text is ignored.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`] when there is none in it, or one cannot be read.
    pub fn with_pem(mut self, pem: &[u8]) -> Result<Self, TlsError> {
        let added = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let added = added.map_err(|_| TlsError::NoCertificate)?;
        if added.is_empty() || added.iter().any(|certificate| !is_readable(certificate)) {
            return Err(TlsError::NoCertificate);
        }
        self.private.extend(added);
        Ok(self)
    }

    /// Returns the certificates of all authorities.
    ///
    /// # Errors
    /// [`TlsError::NoRoots`] when there are none.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        if self.is_private_only {
            return Ok(self.private.clone());
        }
        // Read once: there are about 150, and a client may be created for each request. When none is found, they are
        // read again.
        static PLATFORM: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
        let mut certificates = match PLATFORM.get() {
            Some(known) => known.clone(),
            None => {
                let mut found = rustls_native_certs::load_native_certs().certs;
                // Some platforms have old ones that no library can parse any more.
                found.retain(is_readable);
                if found.is_empty() { found } else { PLATFORM.get_or_init(|| found).clone() }
            }
        };
        certificates.extend(self.private.iter().cloned());
        if certificates.is_empty() { Err(TlsError::NoRoots) } else { Ok(certificates) }
    }

    /// Returns a TLS configuration that accepts servers with a certificate of one of these authorities.
    ///
    /// # Errors
    /// [`TlsError::NoRoots`] when there are none.
    pub fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.certificates()?);
        with_roots(store)
    }
}

/// Returns a TLS configuration that accepts no server, for a client that does not use TLS.
///
/// # Errors
/// [`TlsError::Unsupported`], which does not happen.
pub fn without_roots() -> Result<ClientConfig, TlsError> {
    with_roots(RootCertStore::empty())
}

fn with_roots(store: RootCertStore) -> Result<ClientConfig, TlsError> {
    // Named explicitly, so that the choice of another part of the program has no effect.
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|_| TlsError::Unsupported)?;
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

fn is_readable(certificate: &CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(certificate.clone()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_certificate_is_refused() {
        let damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in [&b""[..], b"hello", b"-----BEGIN CERTIFICATE-----", damaged] {
            assert_eq!(Roots::platform().with_pem(text).unwrap_err(), TlsError::NoCertificate);
        }
    }
}
