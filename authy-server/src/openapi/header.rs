//! The headers of responses.

use serde_json::{Map, Value, json};

/// A header of responses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Header {
    RequestId,
    RateLimit,
    RateLimitPolicy,
    RetryAfter,
    WwwAuthenticate,
    Location,
    ETag,
}

impl Header {
    const ALL: [Self; 7] = [
        Self::RequestId,
        Self::RateLimit,
        Self::RateLimitPolicy,
        Self::RetryAfter,
        Self::WwwAuthenticate,
        Self::Location,
        Self::ETag,
    ];

    /// Returns the name of the header, under which its description is found in the components.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RequestId => "x-request-id",
            Self::RateLimit => "RateLimit",
            Self::RateLimitPolicy => "RateLimit-Policy",
            Self::RetryAfter => "Retry-After",
            Self::WwwAuthenticate => "WWW-Authenticate",
            Self::Location => "Location",
            Self::ETag => "ETag",
        }
    }

    fn description(self) -> Value {
        match self {
            Self::RequestId => json!({
                "description": "The ID of the request: the caller's, or a new one. The log of the server contains it.",
                "required": true,
                "schema": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "examples": ["5f1c9e0a"] },
            }),
            Self::RateLimit => json!({
                "description": "What is left of the limit of this address that is closest to being reached: `r` \
                    requests, and `t` seconds until the allowance is complete again \
                    (draft-ietf-httpapi-ratelimit-headers). Absent when the limit is turned off.",
                "schema": { "type": "string", "examples": ["\"default-second\";r=49;t=1"] },
            }),
            Self::RateLimitPolicy => json!({
                "description": "The limits of an address: `q` requests in `w` seconds \
                    (draft-ietf-httpapi-ratelimit-headers). Absent when the limit is turned off.",
                "schema": {
                    "type": "string",
                    "examples": ["\"default-second\";q=50;w=1, \"default-minute\";q=500;w=60"],
                },
            }),
            Self::RetryAfter => json!({
                "description": "The number of seconds after which to try again.",
                "required": true,
                "schema": { "type": "integer", "minimum": 1, "examples": [1] },
            }),
            Self::WwwAuthenticate => json!({
                "description": "What is wrong with the token (RFC 6750, section 3, and RFC 9470, section 3).",
                "schema": { "type": "string", "examples": ["Bearer error=\"invalid_token\""] },
            }),
            Self::Location => json!({
                "description": "The path of the new resource, or the page to go to.",
                "required": true,
                "schema": {
                    "type": "string",
                    "format": "uri-reference",
                    "examples": ["/authy/user/0b7c3b1e-6d5c-4a43-9d6b-0f3d2a4f8e10"],
                },
            }),
            Self::ETag => json!({
                "description": "The entity tag of the response, for `If-None-Match`.",
                "required": true,
                "schema": { "type": "string", "examples": ["\"7312345678901234567-1-4711\""] },
            }),
        }
    }
}

/// Returns the descriptions of all headers by their names.
pub(super) fn components() -> Map<String, Value> {
    Header::ALL.map(|header| (header.name().to_owned(), header.description())).into_iter().collect()
}
