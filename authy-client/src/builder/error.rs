//! The error of a client that cannot be built.

use authy_core::{http_url::InvalidHttpUrl, tls::TlsError};

use crate::Error;

/// The reason why a [`Client`](crate::Client) cannot be built: one of its settings. A retry does not help.
///
/// The message names the methods of [`ClientBuilder`](crate::ClientBuilder). A program whose operator sets a variable
/// matches the variants, and names the variable instead.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The text is not the URL of a server. The message does not repeat it, because it may contain a password.
    #[error("the URL of the server {0}")]
    Url(InvalidHttpUrl),
    /// The URL is plain http to another machine, and
    /// [`dangerous_allow_plain_http`](crate::ClientBuilder::dangerous_allow_plain_http) was not called.
    #[error(
        "plain http would send passwords and tokens to {host} without encryption: use https://, or, on a network where \
         nobody else can listen, `ClientBuilder::dangerous_allow_plain_http`"
    )]
    PlainHttp {
        /// The host of the URL.
        host: String,
    },
    /// A certificate authority cannot be read, or this machine has none.
    #[error("TLS cannot be set up")]
    Tls(#[source] TlsError),
}

/// For a function that builds a client and calls with it. The error has no [`kind`](Error::kind).
impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        let refused = Self::misuse(error.to_string());
        match error {
            BuildError::Tls(cause) => refused.with_source(cause),
            BuildError::Url(_) | BuildError::PlainHttp { .. } => refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_error_of_a_call_has_the_message_and_the_cause() {
        let host = "auth.example.org".to_owned();
        for error in
            [BuildError::Url(InvalidHttpUrl), BuildError::PlainHttp { host }, BuildError::Tls(TlsError::NoRoots)]
        {
            let call = Error::from(error.clone());
            assert_eq!(call.to_string(), error.to_string());
            assert_eq!(call.source().map(ToString::to_string), error.source().map(ToString::to_string));
            assert!(!call.is_unavailable() && !call.may_have_been_sent() && call.kind().is_none());
        }
    }
}
