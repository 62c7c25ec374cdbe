//! TLS of the listeners, as the settings ask for it.

use tokio::task::spawn_blocking;

use crate::{
    config::Settings,
    tls::{Tls, TlsFileError, TlsFiles},
};

/// Settings of TLS that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidTlsSettings {
    #[error("AUTHY_TLS_CERT and AUTHY_TLS_KEY go together: set both, or none of them")]
    OneOfTwo,
    #[error("AUTHY_CLIENT_CA needs AUTHY_TLS_CERT and AUTHY_TLS_KEY: without TLS no client shows a certificate")]
    ClientsWithoutTls,
    #[error("AUTHY_TLS_CERT, AUTHY_TLS_KEY or AUTHY_CLIENT_CA cannot be used")]
    Files(#[from] TlsFileError),
}

/// Returns TLS as the settings ask for it; `None` for plain HTTP.
///
/// # Errors
/// [`InvalidTlsSettings`].
pub(crate) fn open(settings: &Settings) -> Result<Option<Tls>, InvalidTlsSettings> {
    let client_authorities = settings.client_ca.clone();
    let files = match (settings.tls_cert.clone(), settings.tls_key.clone()) {
        (Some(certificate), Some(key)) => TlsFiles { certificate, key, client_authorities },
        (None, None) if client_authorities.is_some() => return Err(InvalidTlsSettings::ClientsWithoutTls),
        (None, None) => return Ok(None),
        _ => return Err(InvalidTlsSettings::OneOfTwo),
    };
    Ok(Some(Tls::open(files)?))
}

/// Reads the files again, beside the requests.
pub(super) fn reload(tls: &Tls) {
    let tls = tls.clone();
    spawn_blocking(move || tls.reload_and_log(None));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        for (flags, expected) in [
            (&["tls_cert"][..], "go together"),
            (&["tls_key"], "go together"),
            (&["client_ca"], "needs AUTHY_TLS_CERT"),
            (&["tls_cert", "tls_key"], "cannot be used"),
        ] {
            let mut sources = Sources::default();
            sources.flags.extend(flags.iter().map(|flag| ((*flag).to_owned(), "/not/there.pem".to_owned())));
            let error = open(&sources.settings().unwrap().1).unwrap_err().to_string();
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
        assert!(open(&Sources::default().settings().unwrap().1).unwrap().is_none());
    }
}
