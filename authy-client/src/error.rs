//! Why a call failed.

use std::{error::Error as StdError, fmt, time::Duration};

use authy_core::{ErrorKind, api::Problem, error::FieldError};

/// What every call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed: what the server said, or why it could not be asked.
pub struct Error(Box<Inner>);

struct Inner {
    what: What,
    may_have_been_sent: bool,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

enum What {
    /// The server said so.
    Problem(Problem),
    /// Something answered that is not authy, or answered in a way that this version does not understand.
    Answer { status: u16, why: &'static str },
    /// Nobody answered.
    Silence(&'static str),
    /// The call was wrong before it was sent.
    Misuse(&'static str),
}

impl Error {
    fn new(what: What, may_have_been_sent: bool) -> Self {
        Self(Box::new(Inner { what, may_have_been_sent, retry_after: None, source: None }))
    }

    pub(crate) fn misuse(why: &'static str) -> Self {
        Self::new(What::Misuse(why), false)
    }

    pub(crate) fn silence(why: &'static str, may_have_been_sent: bool) -> Self {
        Self::new(What::Silence(why), may_have_been_sent)
    }

    pub(crate) fn answer(status: u16, why: &'static str) -> Self {
        Self::new(What::Answer { status, why }, true)
    }

    pub(crate) fn problem(problem: Problem, retry_after: Option<Duration>) -> Self {
        let mut error = Self::new(What::Problem(problem), true);
        error.0.retry_after = retry_after;
        error
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong, when the server said so with a code that this version knows.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.problem_document().and_then(Problem::kind)
    }

    /// The server's problem document (RFC 9457), when there is one.
    pub fn problem_document(&self) -> Option<&Problem> {
        match &self.0.what {
            What::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The status of the answer, when there was one.
    pub fn status(&self) -> Option<u16> {
        match &self.0.what {
            What::Problem(problem) => Some(problem.status),
            What::Answer { status, .. } => Some(*status),
            What::Silence(_) | What::Misuse(_) => None,
        }
    }

    /// The request's wrong fields, all of them.
    pub fn fields(&self) -> &[FieldError] {
        self.problem_document().map_or(&[], |problem| &problem.fields)
    }

    /// The name under which the server's log knows the request.
    pub fn request_id(&self) -> Option<&str> {
        self.problem_document().map(|problem| problem.request_id.as_str())
    }

    /// How long the server asks to wait before asking again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the answer is "we cannot tell" rather than "no": asking again may help.
    pub fn is_unavailable(&self) -> bool {
        match &self.0.what {
            What::Problem(problem) => problem.status >= 500,
            What::Answer { .. } | What::Silence(_) => true,
            What::Misuse(_) => false,
        }
    }

    /// Whether the server may have done what was asked although no success was told: then a write must not simply be
    /// repeated. Of what the server refused it has done nothing.
    pub fn may_have_been_sent(&self) -> bool {
        match &self.0.what {
            // A refusal is an answer: nothing was done. Beyond 500, nobody knows, unless it was not even begun.
            What::Problem(problem) => problem.status >= 500 && !self.was_turned_away(),
            _ => self.0.may_have_been_sent,
        }
    }

    /// Whether the server refused before it began.
    pub(crate) fn was_turned_away(&self) -> bool {
        matches!(self.kind(), Some(ErrorKind::Overloaded | ErrorKind::RateLimited))
    }

    /// The same for somebody who asked who a token belongs to: the token is bad, or we cannot tell.
    pub(crate) fn into_authentication_error(self) -> authy_core::Error {
        match self.kind() {
            Some(kind @ (ErrorKind::InvalidToken | ErrorKind::TokenRequired)) => {
                authy_core::Error::with_source(kind, "the token is not valid", self)
            }
            Some(ErrorKind::InsufficientLevel | ErrorKind::NoRole) => {
                authy_core::Error::with_source(ErrorKind::InsufficientLevel, "this account may do nothing", self)
            }
            _ => authy_core::Error::with_source(ErrorKind::Unavailable, "authy cannot be asked", self),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.what {
            What::Problem(problem) => write!(f, "{}: {}", problem.code, problem.message),
            What::Answer { status, why } => write!(f, "{why} (status {status})"),
            What::Silence(why) | What::Misuse(why) => f.write_str(why),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("what", &self.to_string())
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
