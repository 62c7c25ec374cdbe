//! The answer of one of both servers.

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

/// What a server answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Received {
        status: StatusCode,
        body: Body,
    },
    /// It took the request and sent no whole answer: the reason.
    Missing(&'static str),
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    None,
    Json(Value),
    /// A page, for example. Texts are not compared.
    Text,
    TooLong,
}

impl Answer {
    pub(super) fn received(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body = match serde_json::from_slice(body) {
            _ if body.is_empty() => Body::None,
            Ok(value) if content_type.contains("json") => Body::Json(value),
            _ => Body::Text,
        };
        Self::Received { status, body }
    }

    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Received { status, .. } => Some(*status),
            Self::Missing(_) => None,
        }
    }

    /// Returns the access token in a successful answer.
    pub(super) fn token(&self) -> Option<&str> {
        match self {
            Self::Received { status, body: Body::Json(body) } if status.is_success() => body.get("token")?.as_str(),
            _ => None,
        }
    }
}

impl Body {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Json(_) => "JSON",
            Self::Text => "a text",
            Self::TooLong => "more than 1 MiB",
        }
    }
}
