//! The problem document of RFC 9457, which is every answer that is not a success.

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
        /// Every wrong field, when fields were wrong.
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
    pub fn of(error: &Error, status: u16, request_id: &str) -> Self {
        let (kind, strength) = (error.kind(), error.strength());
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
