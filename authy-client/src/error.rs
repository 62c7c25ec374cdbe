//! The error of a call.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use authy_core::{ErrorKind, api::Problem, error::FieldError};

mod response;

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that failed: the error that the server answered, or the reason why there is no answer.
pub struct Error(Box<ErrorInner>);

struct ErrorInner {
    failure: CallFailure,
    may_have_been_sent: bool,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

enum CallFailure {
    /// The server answered with a problem document.
    Problem(Box<Problem>),
    /// The answer is not one of authy's, or not one that this version understands.
    UnexpectedResponse { status: u16, why: &'static str },
    /// There was no answer.
    NoResponse(Cow<'static, str>),
    /// The call was wrong before it was sent.
    Misuse(Cow<'static, str>),
}

impl Error {
    fn new(failure: CallFailure, may_have_been_sent: bool) -> Self {
        Self(Box::new(ErrorInner { failure, may_have_been_sent, retry_after: None, source: None }))
    }

    pub(crate) fn misuse(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CallFailure::Misuse(why.into()), false)
    }

    pub(crate) fn no_response(why: impl Into<Cow<'static, str>>, may_have_been_sent: bool) -> Self {
        Self::new(CallFailure::NoResponse(why.into()), may_have_been_sent)
    }

    pub(crate) fn unexpected_response(status: u16, why: &'static str) -> Self {
        Self::new(CallFailure::UnexpectedResponse { status, why }, true)
    }

    pub(crate) fn problem(problem: Problem, retry_after: Option<Duration>) -> Self {
        let mut error = Self::new(CallFailure::Problem(Box::new(problem)), true);
        error.0.retry_after = retry_after;
        error
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns the kind of the error, when the server answered with a code that this version knows.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.problem_document().and_then(Problem::kind)
    }

    /// Returns the server's problem document (RFC 9457).
    pub fn problem_document(&self) -> Option<&Problem> {
        match &self.0.failure {
            CallFailure::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Returns the status of the answer; `None` without an answer.
    pub fn status(&self) -> Option<u16> {
        match &self.0.failure {
            CallFailure::Problem(problem) => Some(problem.status),
            CallFailure::UnexpectedResponse { status, .. } => Some(*status),
            CallFailure::NoResponse(_) | CallFailure::Misuse(_) => None,
        }
    }

    /// Returns all invalid fields of the request.
    pub fn fields(&self) -> &[FieldError] {
        self.problem_document().map_or(&[], |problem| &problem.fields)
    }

    /// Returns the id of the request, which the server's log has too.
    pub fn request_id(&self) -> Option<&str> {
        self.problem_document().map(|problem| problem.request_id.as_str())
    }

    /// Returns the time to wait before a retry, when the server sent one.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns whether a retry may help: there was no answer, or the server could not decide.
    pub fn is_unavailable(&self) -> bool {
        match &self.0.failure {
            CallFailure::Problem(problem) => problem.status >= 500,
            CallFailure::UnexpectedResponse { .. } | CallFailure::NoResponse(_) => true,
            CallFailure::Misuse(_) => false,
        }
    }

    /// Returns whether the server may have executed the request although the call failed: then a write must not simply
    /// be repeated. A request that the server refused was not executed.
    pub fn may_have_been_sent(&self) -> bool {
        match &self.0.failure {
            // A refused request was not executed. After a 5xx that is unknown, unless the server refused to begin.
            CallFailure::Problem(problem) => problem.status >= 500 && !self.was_turned_away(),
            _ => self.0.may_have_been_sent,
        }
    }

    /// Returns whether the server refused to begin.
    pub(crate) fn was_turned_away(&self) -> bool {
        matches!(self.kind(), Some(ErrorKind::Overloaded | ErrorKind::RateLimited))
    }

    /// Converts the error of a token check: the token is invalid, or the server could not be asked.
    pub(crate) fn into_authentication_error(self) -> authy_core::Error {
        match self.kind() {
            Some(kind @ (ErrorKind::InvalidToken | ErrorKind::TokenRequired)) => {
                authy_core::Error::with_source(kind, "the token is not valid", self)
            }
            Some(ErrorKind::InsufficientLevel | ErrorKind::NoRole) => {
                authy_core::Error::with_source(ErrorKind::InsufficientLevel, "this account has no permissions", self)
            }
            _ => authy_core::Error::with_source(ErrorKind::Unavailable, "authy cannot be asked", self),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.failure {
            CallFailure::Problem(problem) => write!(f, "{}: {}", problem.code, problem.message),
            CallFailure::UnexpectedResponse { status, why } => write!(f, "{why} (status {status})"),
            CallFailure::NoResponse(why) | CallFailure::Misuse(why) => f.write_str(why),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("failure", &self.to_string())
            .field("request_id", &self.request_id())
            .field("fields", &self.fields())
            .field("may_have_been_sent", &self.may_have_been_sent())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_was_not_done_and_what_failed_may_have_been() {
        let problem = |kind| {
            let error = authy_core::Error::new(kind, "a detail");
            Error::problem(Problem::of(&error, "id"), None)
        };
        for kind in [ErrorKind::InvalidInput, ErrorKind::RateLimited, ErrorKind::Overloaded, ErrorKind::NotFound] {
            assert!(!problem(kind).may_have_been_sent(), "{kind}");
        }
        for kind in [ErrorKind::Internal, ErrorKind::Unavailable] {
            assert!(problem(kind).may_have_been_sent(), "{kind}");
            assert!(problem(kind).is_unavailable(), "{kind}");
        }
        assert!(!problem(ErrorKind::InvalidToken).is_unavailable());
    }
}
