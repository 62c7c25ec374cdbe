//! Answers that are not a success: the problem document of RFC 9457, and the status and the challenge that go with it.

use http::StatusCode;

use crate::{
    Error, ErrorKind,
    error::{Feedback, FieldError},
};

wire! {
    /// What went wrong, `application/problem+json`.
    pub struct Problem {
        /// `urn:authy:problem:` and the code.
        #[serde(rename = "type")]
        pub kind_uri: String,
        /// The code's meaning, the same for every occurrence.
        pub title: String,
        /// The status of the answer.
        pub status: u16,
        /// What went wrong, from a closed list: what programs decide by.
        pub code: String,
        /// What was wrong this time, for people.
        pub message: String,
        /// The request it was about; the server's log has the cause under it.
        pub request_id: String,
        /// Every wrong field, when fields were wrong; the username, when it is reserved, or looks like a reserved one or an
        /// administrator's.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub fields: Vec<FieldError>,
        /// Of a weak password: zxcvbn's score, 0 to 4.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub score: Option<u8>,
        /// Of a weak password: how many guesses it takes, estimated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub guesses: Option<u64>,
        /// Of a weak password: how to make a better one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub feedback: Option<Feedback>,
    }
}

impl Problem {
    /// What a caller is told about an error. Of what is wrong inside, nothing.
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
            message: message.to_owned(),
            request_id: request_id.to_owned(),
            fields: error.fields().to_vec(),
            score: strength.map(|strength| strength.score),
            guesses: strength.map(|strength| strength.guesses),
            feedback: strength.map(|strength| strength.feedback.clone()),
        }
    }

    /// The problem's kind, when this version of the crate knows its code.
    pub fn kind(&self) -> Option<ErrorKind> {
        ErrorKind::from_code(&self.code)
    }
}

/// The status of an error: the one place where a kind becomes a status.
pub fn status(kind: ErrorKind) -> StatusCode {
    use ErrorKind::*;
    match kind {
        InvalidInput | MalformedJson | MalformedRequest | ConflictingTokens | PasswordsDiffer | WeakPassword => {
            StatusCode::BAD_REQUEST
        }
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

/// What `WWW-Authenticate` says about an error (RFC 6750, section 3, and RFC 9470, section 3), when it is about the caller's
/// token.
pub fn challenge(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::TokenRequired | ErrorKind::InvalidCredentials | ErrorKind::InvalidRefreshToken => Some("Bearer"),
        ErrorKind::InvalidToken => Some("Bearer error=\"invalid_token\""),
        // Ten minutes: `engine::RECENT`.
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
    fn every_kind_of_error_has_a_status_of_its_own_choice() {
        for &kind in ErrorKind::ALL {
            let status = status(kind);
            assert!(status.is_client_error() || status.is_server_error(), "{kind}");
            assert_eq!(status == StatusCode::INTERNAL_SERVER_ERROR, kind == ErrorKind::Internal, "{kind}");
        }
    }
}
