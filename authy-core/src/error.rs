//! The error type: a closed list of kinds, a detail that cannot contain a secret, and a cause for the log.

use std::{error::Error as StdError, fmt, time::Duration};

/// The result of every fallible function of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Formats an error and its causes on one line, for the log. Removes repetitions: some libraries include the text of
/// the cause in their own.
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
        /// The kind of an error. The list is closed, and equals the codes on the wire.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $($(#[doc = $doc])+ $name,)+ }

        impl ErrorKind {
            /// All kinds, ordered by their HTTP status.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$name,)+];

            /// Returns the `code` of the problem document.
            pub fn code(self) -> &'static str {
                match self { $(ErrorKind::$name => $code,)+ }
            }

            /// Returns the `title` of the problem document. It is the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(ErrorKind::$name => $title,)+ }
            }

            /// Returns the kind with this `code`, or `None` when this version of the crate does not know it.
            pub fn from_code(code: &str) -> Option<ErrorKind> {
                match code { $($code => Some(ErrorKind::$name),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// Fields of the request are invalid; [`Error::fields`] lists all of them.
    InvalidInput "invalid_input" "The request has wrong fields";
    /// The body is not a JSON object, or contains a field twice.
    MalformedJson "malformed_json" "The body cannot be read as JSON";
    /// The request is not valid HTTP for this endpoint.
    MalformedRequest "malformed_request" "The request cannot be read";
    /// The request contains two different tokens.
    ConflictingTokens "conflicting_tokens" "Two different tokens were sent";
    /// The password and its confirmation differ.
    PasswordsDiffer "passwords_differ" "The passwords differ";
    /// The password is too easy to guess; [`Error::strength`] returns the estimate.
    WeakPassword "weak_password" "The password is too weak";
    /// The page has a number beyond 100: pages further on are reached by the links from page to page.
    PageTooFar "page_too_far" "The page is too far to be reached by its number";
    /// The username is unknown, the password is wrong, or the user is deleted. The error does not say which.
    InvalidCredentials "invalid_credentials" "The credentials are wrong";
    /// The refresh token is forged, reused or expired, or its session has ended.
    InvalidRefreshToken "invalid_refresh_token" "The refresh token is not valid";
    /// To change one's own account, `current_password` or a recent login is required.
    ReauthenticationRequired "reauthentication_required" "Recent authentication is required";
    /// The endpoint requires a token, and none was sent.
    TokenRequired "token_required" "A token is required";
    /// The token is malformed, forged, expired or revoked.
    InvalidToken "invalid_token" "The token is not valid";
    /// The token is valid, but its level is too large for the endpoint.
    InsufficientLevel "insufficient_level" "The level is not sufficient";
    /// The user, role or session is more powerful than the caller.
    BeyondYourLevel "beyond_your_level" "The operation is beyond the caller's level";
    /// The account has no role, so it cannot log in.
    NoRole "no_role" "The account has no role";
    /// The password is correct, but the email address is not confirmed, and this server requires that.
    NotValidated "not_validated" "The email address is not confirmed";
    /// The server accepts requests over HTTPS only.
    HttpsRequired "https_required" "HTTPS is required";
    /// The path or the resource does not exist.
    NotFound "not_found" "Not found";
    /// The path exists, but not with this method.
    MethodNotAllowed "method_not_allowed" "Method not allowed";
    /// The request did not arrive in time.
    RequestTimeout "request_timeout" "The request took too long to arrive";
    /// The username or the email address is taken, or the username is reserved.
    AlreadyRegistered "already_registered" "Already registered";
    /// A role with this name or level exists.
    RoleExists "role_exists" "The role already exists";
    /// The role is assigned to a user, or belongs to the installation.
    RoleInUse "role_in_use" "The role is in use";
    /// The user already has the role.
    AlreadyAssigned "already_assigned" "Already assigned";
    /// The last user with the most powerful role cannot lose it or be deleted.
    LastOfItsKind "last_of_its_kind" "The last user with the most powerful role";
    /// The user is not deleted, so it cannot be restored.
    NotDeleted "not_deleted" "Not deleted";
    /// The user is already deleted.
    AlreadyDeleted "already_deleted" "Already deleted";
    /// The body is larger than 64 KiB.
    BodyTooLarge "body_too_large" "The body is too large";
    /// The body needs `Content-Type: application/json`.
    UnsupportedMediaType "unsupported_media_type" "Unsupported media type";
    /// Too many requests from this address.
    RateLimited "rate_limited" "Too many requests";
    /// An internal error. The log contains the cause under the request ID.
    Internal "internal" "Internal error";
    /// A dependency is not available, such as the database. Retry.
    Unavailable "unavailable" "Temporarily unavailable";
    /// The work queue is full, and the request would take too long. Retry later.
    Overloaded "overloaded" "Overloaded";
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

wire! {
    /// An invalid field of a request.
    pub struct FieldError {
        /// The name of the field, as it was sent.
        #[cfg_attr(feature = "schema", schemars(example = &"email"))]
        pub field: String,
        /// The reason, for programs.
        #[cfg_attr(feature = "schema", schemars(example = &"invalid_email"))]
        pub code: String,
        /// The reason, for people.
        #[cfg_attr(feature = "schema", schemars(example = &"must be an email address, such as ada@example.org"))]
        pub message: String,
    }

    /// The strength of a password, as zxcvbn estimates it.
    pub struct Strength {
        /// The score, from 0 (guessed immediately) to 4 (very hard to guess). At least 3 is required.
        pub score: u8,
        /// Estimated number of guesses that an attacker needs.
        pub guesses: u64,
        /// Advice for a stronger password.
        pub feedback: Feedback,
    }

    /// Why a password is weak, and how to improve it.
    pub struct Feedback {
        /// The main weakness, if there is one.
        pub warning: Option<String>,
        /// Suggestions for a stronger password.
        pub suggestions: Vec<String>,
    }
}

/// An error. Its [`kind`](Error::kind) is for the caller, its source for the log.
///
/// `Display` prints only this level; [`source`](StdError::source) returns the causes. The detail is a `&'static str`,
/// so it cannot contain a secret or anything that a caller sent.
pub struct Error(Box<ErrorParts>);

struct ErrorParts {
    kind: ErrorKind,
    detail: &'static str,
    retry_after: Option<Duration>,
    fields: Vec<FieldError>,
    strength: Option<Strength>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error of a kind. `detail` describes this occurrence, for people.
    pub fn new(kind: ErrorKind, detail: &'static str) -> Self {
        Self(Box::new(ErrorParts { kind, detail, retry_after: None, fields: Vec::new(), strength: None, source: None }))
    }

    /// Creates an error with a cause. The cause is written to the log and never sent to a caller.
    pub fn with_source(
        kind: ErrorKind,
        detail: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let mut error = Self::new(kind, detail);
        error.0.source = Some(source.into());
        error
    }

    /// Creates the error of a request with invalid fields. A single field error that has its own kind
    /// (`passwords_differ`, `page_too_far`) determines the kind.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let kind = match fields.as_slice() {
            [only] => ErrorKind::from_code(&only.code),
            _ => None,
        };
        let mut error = match kind {
            Some(ErrorKind::PasswordsDiffer) => {
                Self::new(ErrorKind::PasswordsDiffer, "password and confirm_password are not the same")
            }
            Some(ErrorKind::PageTooFar) => Self::new(
                ErrorKind::PageTooFar,
                "this page has no number that reaches it: follow next_url from page to page, or send its after instead of page",
            ),
            _ => Self::new(ErrorKind::InvalidInput, "some fields are wrong: see fields"),
        };
        error.0.fields = fields;
        error
    }

    /// Sets the invalid field.
    #[cfg(feature = "engine")]
    #[must_use]
    pub(crate) fn with_field(mut self, field: FieldError) -> Self {
        self.0.fields.push(field);
        self
    }

    /// Sets the estimate of a weak password.
    #[must_use]
    pub fn with_strength(mut self, strength: Strength) -> Self {
        self.0.strength = Some(strength);
        self
    }

    /// Sets the time after which the caller should retry.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the description of this occurrence, for people.
    pub fn detail(&self) -> &'static str {
        self.0.detail
    }

    /// Returns the time after which the caller should retry, if it is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns all invalid fields of the request.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// Returns the estimate of a weak password.
    pub fn strength(&self) -> Option<&Strength> {
        self.0.strength.as_ref()
    }

    /// Returns whether the answer is unknown rather than "no". A retry may succeed.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::Overloaded)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.detail)?;
        match self.0.fields.as_slice() {
            [] => Ok(()),
            fields => write!(f, " ({})", FieldList(fields)),
        }
    }
}

/// Invalid fields on one line, for people: each with its reason.
pub(crate) struct FieldList<'a>(pub(crate) &'a [FieldError]);

impl fmt::Display for FieldList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, FieldError { field, message, .. }) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            // Escaped, because the sender chooses the name of an unknown field.
            write!(f, "{separator}{} {message}", field.escape_debug())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ErrorParts { kind, detail, fields, source, .. } = &*self.0;
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
    fn every_code_maps_back_to_its_kind() {
        for &kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind.code()), Some(kind));
        }
    }

    #[test]
    fn an_error_names_every_invalid_field_on_one_line() {
        let wrong = |field: &str, message: &str| FieldError {
            field: field.to_owned(),
            code: "wrong".to_owned(),
            message: message.to_owned(),
        };
        let error = Error::invalid(vec![wrong("email", "is required"), wrong("a\nb", "is not a field")]);
        assert!(error.to_string().ends_with("(email is required; a\\nb is not a field)"), "{error}");
    }

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
