//! The one error of the house: a closed list of kinds, a detail that cannot carry a secret, and a cause for the log.

use std::{error::Error as StdError, fmt, time::Duration};

/// What every fallible function of the crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error and its causes on one line, for the log. Some libraries repeat their cause: once is enough.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(this) = cause {
        let this_text = this.to_string();
        if !text.contains(&this_text) {
            text.push_str(": ");
            text.push_str(&this_text);
        }
        cause = this.source();
    }
    text
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $title:literal;)+) => {
        /// What went wrong, as a caller may act on it: the closed list of the codes on the wire.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $($(#[doc = $doc])+ $name,)+ }

        impl ErrorKind {
            /// Every kind, in the order of their statuses.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$name,)+];

            /// The `code` of a problem document.
            pub fn code(self) -> &'static str {
                match self { $(ErrorKind::$name => $code,)+ }
            }

            /// The `title` of a problem document: the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(ErrorKind::$name => $title,)+ }
            }

            /// The kind with this `code`, when this version of the crate knows it.
            pub fn from_code(code: &str) -> Option<ErrorKind> {
                match code { $($code => Some(ErrorKind::$name),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// Fields of the request are wrong; [`Error::fields`] names each of them.
    InvalidInput "invalid_input" "The request has wrong fields";
    /// The body is not JSON, or not an object, or names a field twice.
    MalformedJson "malformed_json" "The body cannot be read as JSON";
    /// The request is not well-formed HTTP for this endpoint.
    MalformedRequest "malformed_request" "The request cannot be read";
    /// Two tokens were sent, and they differ.
    ConflictingTokens "conflicting_tokens" "Two different tokens were sent";
    /// The password and its confirmation differ.
    PasswordsDiffer "passwords_differ" "The passwords differ";
    /// The password is too easily guessed; [`Error::strength`] says how easily.
    WeakPassword "weak_password" "The password is too weak";
    /// Unknown name, wrong password or deleted user: which of them is not told.
    InvalidCredentials "invalid_credentials" "The credentials are wrong";
    /// The refresh token is forged, spent or expired, or its session is over.
    InvalidRefreshToken "invalid_refresh_token" "The refresh token is not valid";
    /// One's own account is changed with `current_password`, or soon after a login; here it was neither.
    ReauthenticationRequired "reauthentication_required" "Recent authentication is required";
    /// The endpoint needs a token and none was sent.
    TokenRequired "token_required" "A token is required";
    /// The token is malformed, forged, expired or void.
    InvalidToken "invalid_token" "The token is not valid";
    /// The token is good, its level is not powerful enough.
    InsufficientLevel "insufficient_level" "Not enough power";
    /// The thing acted upon is more powerful than the caller.
    BeyondYourLevel "beyond_your_level" "That is beyond your level";
    /// The account has no role, so there is nothing it may do.
    NoRole "no_role" "The account has no role";
    /// The password is right, and the address has not been confirmed yet, which this server asks for.
    NotValidated "not_validated" "The address is not confirmed";
    /// The server accepts requests over https only.
    HttpsRequired "https_required" "https is required";
    /// There is no such thing.
    NotFound "not_found" "Not found";
    /// The path exists, the method does not.
    MethodNotAllowed "method_not_allowed" "Method not allowed";
    /// The request did not arrive in time.
    RequestTimeout "request_timeout" "The request took too long to arrive";
    /// The username or the email is taken, or the username is reserved.
    AlreadyRegistered "already_registered" "Already registered";
    /// A role with that name or that level exists.
    RoleExists "role_exists" "The role exists";
    /// Somebody has the role, or it came with the installation.
    RoleInUse "role_in_use" "The role is in use";
    /// The user has the role already.
    AlreadyAssigned "already_assigned" "Already assigned";
    /// The last user with the most powerful role cannot lose it or be deleted.
    LastOfItsKind "last_of_its_kind" "The last of its kind";
    /// The user was not deleted, so there is nobody to bring back.
    NotDeleted "not_deleted" "Not deleted";
    /// The user was deleted before.
    AlreadyDeleted "already_deleted" "Already deleted";
    /// The body is larger than 64 KiB.
    BodyTooLarge "body_too_large" "The body is too large";
    /// The body needs `Content-Type: application/json`.
    UnsupportedMediaType "unsupported_media_type" "Unsupported media type";
    /// Too many requests from this address.
    RateLimited "rate_limited" "Too many requests";
    /// Something is wrong inside; the log has it under the request id.
    Internal "internal" "Something went wrong inside";
    /// What the answer depends on is away: ask again.
    Unavailable "unavailable" "Not available right now";
    /// There is more work waiting than can be done in time: ask again later.
    Overloaded "overloaded" "Too busy right now";
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

wire! {
    /// One wrong field of a request.
    pub struct FieldError {
        /// The field's name as it was sent.
        pub field: String,
        /// What is wrong with it, for programs.
        pub code: String,
        /// What is wrong with it, for people.
        pub message: String,
    }

    /// How easily a password is guessed, as zxcvbn estimates it.
    pub struct Strength {
        /// From 0 (at once) to 4 (hardly ever); 3 is asked for.
        pub score: u8,
        /// The number of guesses an attacker needs, estimated.
        pub guesses: u64,
        /// What to do better.
        pub feedback: Feedback,
    }

    /// What makes a password weak, and how to make a better one.
    pub struct Feedback {
        /// What is wrong with it, when one thing stands out.
        pub warning: Option<String>,
        /// How to make it better.
        pub suggestions: Vec<String>,
    }
}

/// An error: its [`kind`](Error::kind) is for the caller, its source for the log.
///
/// `Display` prints this level only; the chain is [`source`](StdError::source). The detail is a `&'static str`, so that
/// no secret and nothing a stranger sent can ever be in it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    detail: &'static str,
    retry_after: Option<Duration>,
    fields: Vec<FieldError>,
    strength: Option<Strength>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of that kind; `detail` says for people what was wrong this time.
    pub fn new(kind: ErrorKind, detail: &'static str) -> Self {
        Self(Box::new(Inner { kind, detail, retry_after: None, fields: Vec::new(), strength: None, source: None }))
    }

    /// An error with its cause, which goes to the log and never to a caller.
    pub fn with_source(
        kind: ErrorKind,
        detail: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let mut error = Self::new(kind, detail);
        error.0.source = Some(source.into());
        error
    }

    /// The request's wrong fields. One that has a kind of its own (`passwords_differ`) and stands alone becomes the
    /// error's kind.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let differ = matches!(fields.as_slice(), [only] if only.code == ErrorKind::PasswordsDiffer.code());
        let mut error = match differ {
            true => Self::new(ErrorKind::PasswordsDiffer, "password and confirm_password are not the same"),
            false => Self::new(ErrorKind::InvalidInput, "some fields are wrong: see fields"),
        };
        error.0.fields = fields;
        error
    }

    /// The same error, said of a field.
    #[cfg(feature = "engine")]
    #[must_use]
    pub(crate) fn on(mut self, field: FieldError) -> Self {
        self.0.fields.push(field);
        self
    }

    /// The same error, with the estimate that made the password too weak.
    #[must_use]
    pub fn strength_of(mut self, strength: Strength) -> Self {
        self.0.strength = Some(strength);
        self
    }

    /// The same error, with the time after which asking again makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// What went wrong, as a caller may act on it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was wrong this time, for people.
    pub fn detail(&self) -> &'static str {
        self.0.detail
    }

    /// How long to wait before asking again.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The request's wrong fields, all of them.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// How weak the password is, when that is what is wrong.
    pub fn strength(&self) -> Option<&Strength> {
        self.0.strength.as_ref()
    }

    /// Whether the answer is "we cannot tell" rather than "no": asking again may help.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::Overloaded)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, detail, fields, source, .. } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("detail", detail)
            .field("fields", fields)
            .field("source", source)
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
    fn every_code_leads_back_to_its_kind() {
        for &kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind.code()), Some(kind));
        }
    }

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
