//! Error responses: the problem document of RFC 9457, its status, and its challenge.

use std::time::Duration;

use http::StatusCode;

use crate::{
    Error, ErrorKind,
    error::{Feedback, FieldError},
};

wire! {
    /// An error, as `application/problem+json` (RFC 9457).
    pub struct Problem {
        /// `urn:authy:problem:` followed by the code.
        #[serde(rename = "type")]
        pub kind_uri: String,
        /// The meaning of the code. It is the same for every occurrence.
        pub title: String,
        /// The HTTP status.
        pub status: u16,
        /// The error code, from a closed list, for programs.
        pub code: String,
        /// A description of this occurrence, for people.
        pub detail: String,
        /// The same text as `detail`.
        pub message: String,
        /// The request ID. The server's log contains the cause under this ID.
        pub request_id: String,
        /// All invalid fields; for `already_registered`, the username when it is taken or reserved, or looks like a reserved one
        /// or like an administrator's. An email address is never listed there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub fields: Vec<FieldError>,
        /// Only for `weak_password`: the zxcvbn score, 0 to 4.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub score: Option<u8>,
        /// Only for `weak_password`: the estimated number of guesses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub guesses: Option<u64>,
        /// Only for `weak_password`: advice for a stronger password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub feedback: Option<Feedback>,
    }
}

impl Problem {
    /// Creates the document of an error. An internal error reveals nothing about its cause.
    pub fn of(error: &Error, request_id: &str) -> Self {
        let (kind, strength) = (error.kind(), error.strength());
        let status = status(kind).as_u16();
        let message = match status {
            500.. => kind.title(),
            _ => error.detail(),
        };
        Self {
            kind_uri: format!("urn:authy:problem:{kind}"),
            title: kind.title().to_owned(),
            status,
            code: kind.code().to_owned(),
            detail: message.to_owned(),
            message: message.to_owned(),
            request_id: request_id.to_owned(),
            fields: error.fields().to_vec(),
            score: strength.map(|strength| strength.score),
            guesses: strength.map(|strength| strength.guesses),
            feedback: strength.map(|strength| strength.feedback.clone()),
        }
    }

    /// Replaces the description of this occurrence.
    #[must_use]
    pub fn with_detail(self, detail: String) -> Self {
        Self { message: detail.clone(), detail, ..self }
    }

    /// Returns the kind, if this version of the crate knows the code.
    pub fn kind(&self) -> Option<ErrorKind> {
        ErrorKind::from_code(&self.code)
    }
}

/// Returns the HTTP status of an error. The only place that maps kinds to statuses.
pub fn status(kind: ErrorKind) -> StatusCode {
    use ErrorKind::*;
    match kind {
        InvalidInput | MalformedJson | MalformedRequest | ConflictingTokens | PasswordsDiffer | WeakPassword
        | PageTooFar => StatusCode::BAD_REQUEST,
        InvalidCredentials | InvalidRefreshToken | ReauthenticationRequired | TokenRequired | InvalidToken => {
            StatusCode::UNAUTHORIZED
        }
        InsufficientLevel | BeyondYourLevel | NoRole | NotValidated | HttpsRequired => StatusCode::FORBIDDEN,
        NotFound => StatusCode::NOT_FOUND,
        MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        AlreadyRegistered | RoleExists | RoleInUse | AlreadyAssigned | LastOfItsKind | NotDeleted => {
            StatusCode::CONFLICT
        }
        AlreadyDeleted => StatusCode::GONE,
        BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Unavailable | Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Maximum age of a login that counts as recent authentication.
pub const RECENT_LOGIN: Duration = Duration::from_secs(600);

/// Returns the `WWW-Authenticate` challenge of an error about the caller's token (RFC 6750, section 3, and RFC 9470, section 3).
pub fn challenge(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::TokenRequired | ErrorKind::InvalidCredentials | ErrorKind::InvalidRefreshToken => Some("Bearer"),
        ErrorKind::InvalidToken => Some("Bearer error=\"invalid_token\""),
        // `max_age` is `RECENT_LOGIN`.
        ErrorKind::ReauthenticationRequired => Some(
            "Bearer error=\"insufficient_user_authentication\", \
             error_description=\"A more recent login is required\", max_age=\"600\"",
        ),
        ErrorKind::InsufficientLevel => Some("Bearer error=\"insufficient_scope\""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_the_age_of_a_recent_login() {
        let challenge = challenge(ErrorKind::ReauthenticationRequired).unwrap();
        assert!(challenge.ends_with(&format!("max_age=\"{}\"", RECENT_LOGIN.as_secs())), "{challenge}");
    }

    #[test]
    fn every_kind_of_error_has_a_status_of_its_own_choice() {
        for &kind in ErrorKind::ALL {
            let status = status(kind);
            assert!(status.is_client_error() || status.is_server_error(), "{kind}");
            assert_eq!(status == StatusCode::INTERNAL_SERVER_ERROR, kind == ErrorKind::Internal, "{kind}");
        }
    }
}
