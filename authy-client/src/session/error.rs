//! The error of a session.

use crate::Error;

/// The reason why a session has no token, or why a call in it failed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The session is over: the user has logged out, or the server refused the refresh token.
    #[error("the session is over: the user has to log in again")]
    Ended,
    /// The last access token has expired, and there is no other one now, because the server did not answer, or the user
    /// has no role. The session may go on: a retry may help.
    #[error("the session cannot be refreshed now")]
    Unavailable(#[source] Error),
    /// The session has a token, and the call failed: of [`Session::call`](crate::Session::call) only.
    #[error(transparent)]
    Call(Error),
}

impl SessionError {
    /// Returns whether the session is over. A retry does not help.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }
}

/// For a function that calls with the client of a session: `session.client().await?.get_self().await`. When the session
/// is over, the error says so, and has no [`kind`](Error::kind).
impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Ended => Self::misuse(error.to_string()),
            SessionError::Unavailable(cause) | SessionError::Call(cause) => cause,
        }
    }
}
