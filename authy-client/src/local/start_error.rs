//! The error of a verifier that does not start.

use authy_core::ErrorKind;

use crate::Error;

/// The reason why a [`LocalVerifier`](super::LocalVerifier) does not start.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server issues tokens under another name, so the verifier would refuse all of them.
    #[error("the server's issuer is {server:?}, and this verifier expects {expected:?}: set `.issuer({server:?})`")]
    Issuer {
        /// The issuer of the server: its `AUTHY_ISSUER`.
        server: String,
        /// The issuer that the verifier expects.
        expected: String,
    },
    /// The server issues tokens for another audience, so the verifier would refuse all of them.
    #[error("the server's audience is {server:?}, and this verifier expects {expected:?}: set `.audience({server:?})`")]
    Audience {
        /// The audience of the server: its `AUTHY_AUDIENCE`.
        server: String,
        /// The audience that the verifier expects.
        expected: String,
    },
    /// The server cannot be asked, and there is no file with keys and revocations that is recent enough.
    #[error("authy cannot be asked for its keys and revocations")]
    Unavailable(#[source] Error),
}

impl StartError {
    /// Returns the kind: [`ErrorKind::InvalidInput`] for a wrong setting, else [`ErrorKind::Unavailable`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Issuer { .. } | Self::Audience { .. } => ErrorKind::InvalidInput,
            Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }

    /// Returns whether a retry may help.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
