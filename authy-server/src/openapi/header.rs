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
    PublicId,
    Username,
    Level,
    Roles,
}

impl Header {
    const ALL: [Self; 11] = [
        Self::RequestId,
        Self::RateLimit,
        Self::RateLimitPolicy,
        Self::RetryAfter,
        Self::WwwAuthenticate,
        Self::Location,
        Self::ETag,
        Self::PublicId,
        Self::Username,
        Self::Level,
        Self::Roles,
    ];

    /// Those by which a proxy tells a service who the caller is.
    pub(super) const FORWARD_AUTH: [Self; 4] = [Self::PublicId, Self::Username, Self::Level, Self::Roles];

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
            Self::PublicId => "x-authy-public-id",
            Self::Username => "x-authy-username",
            Self::Level => "x-authy-level",
            Self::Roles => "x-authy-roles",
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
            Self::PublicId => json!({
                "description": "The `public_id` of the body.",
                "required": true,
                "schema": {
                    "type": "string",
                    "format": "uuid",
                    "examples": ["0b7c3b1e-6d5c-4a43-9d6b-0f3d2a4f8e10"],
                },
            }),
            Self::Username => json!({
                "description": "The `username` of the body, percent-encoded (RFC 3986).",
                "required": true,
                "schema": { "type": "string", "examples": ["ada"] },
            }),
            Self::Level => json!({
                "description": "The `level` of the body.",
                "required": true,
                "schema": { "type": "integer", "minimum": 0, "examples": [10] },
            }),
            Self::Roles => json!({
                "description": "The names of the roles, each percent-encoded (RFC 3986), separated by commas. Empty when \
                    they exceed 2 KiB.",
                "required": true,
                "schema": { "type": "string", "examples": ["auctioneer,night%20shift"] },
            }),
        }
    }
}

/// Returns the descriptions of all headers by their names.
pub(super) fn components() -> Map<String, Value> {
    Header::ALL.map(|header| (header.name().to_owned(), header.description())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use authy_core::api::forward_auth;

    use super::*;

    #[test]
    fn the_headers_for_a_proxy_have_the_names_under_which_they_are_sent() {
        let sent = [forward_auth::PUBLIC_ID, forward_auth::USERNAME, forward_auth::LEVEL, forward_auth::ROLES];
        assert_eq!(Header::FORWARD_AUTH.map(Header::name), sent.each_ref().map(|name| name.as_str()));
    }
}
