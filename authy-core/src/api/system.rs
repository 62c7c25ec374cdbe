//! The system itself: what it offers, and how it is.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Nothing, Reply, endpoints};
use crate::Access;

const SUBJECT: &str = "system";

endpoints! {
    /// Every path and its methods.
    ListEndpoints: GET "/authy" () Nothing => EndpointList, Access::Public;

    /// That the server is there, and which version it is.
    GetStatus: GET "/authy/status" () Nothing => Status, Access::Public;

    /// What a verifier of access tokens must know of the server (RFC 8414): issuer, keys, audience, algorithms, and the longest life
    /// of a token.
    ///
    /// A verifier refuses a token whose `exp` is further from its `iat` than `access_token_max_lifetime`.
    GetMetadata: GET "/authy/.well-known/oauth-authorization-server" () Nothing => ServerMetadata, Access::Public;

    /// The same document at the path where libraries look for it.
    GetMetadataAtRoot: GET "/.well-known/oauth-authorization-server" () Nothing => ServerMetadata, Access::Public;

    /// 429, always: for trying how a client handles it.
    GetRateLimited: GET "/authy/ratelimited" () Nothing => Nothing, Access::Public; fails RateLimited;

    /// This document.
    GetOpenApi: GET "/authy/openapi.json" () Nothing => OpenApi, Access::Public;

    /// The AsyncAPI document of the messages that a broker is sent.
    GetAsyncApi: GET "/authy/asyncapi.json" () Nothing => AsyncApi, Access::Public;
}

wire! {
    /// Every path and its methods.
    pub struct EndpointList {
        /// One entry a path.
        pub endpoints: Vec<EndpointEntry>,
    }

    /// A path and its methods.
    pub struct EndpointEntry {
        /// The path, parameters in angle brackets.
        pub url: String,
        /// The methods it answers.
        pub methods: Vec<String>,
    }

    /// How the server is.
    pub struct Status {
        /// For people.
        pub message: String,
        /// The version of the server.
        pub version: String,
    }

    /// What a verifier of access tokens must know. It has those members of RFC 8414 that apply: authy issues tokens at endpoints
    /// of its own, so there are no response types and no OAuth token endpoint. RFC 8414 does not define the members that begin
    /// with `access_token`.
    pub struct ServerMetadata {
        /// The `iss` of every token.
        pub issuer: String,
        /// Where the public keys are; absent when the issuer is no URL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub jwks_uri: Option<String>,
        /// The `aud` of every token.
        pub access_token_audience: String,
        /// The algorithms of the keys that are published now.
        pub access_token_signing_alg_values_supported: Vec<String>,
        /// The longest time from `iat` to `exp` of any token, in seconds.
        pub access_token_max_lifetime: u64,
        /// How long this may be cached, in seconds: sent in `Cache-Control`.
        #[serde(skip)]
        pub max_age: u64,
    }

    /// An OpenAPI 3.1 document.
    #[serde(transparent)]
    pub struct OpenApi {
        /// The document.
        pub document: Map<String, Value>,
    }

    /// An AsyncAPI 3.0 document.
    #[serde(transparent)]
    pub struct AsyncApi {
        /// The document.
        pub document: Map<String, Value>,
    }
}

impl Reply for EndpointList {
    const CACHE: &'static str = "public, max-age=300";
}
impl Reply for Status {}
impl Reply for ServerMetadata {
    fn cache(&self) -> Cow<'static, str> {
        format!("public, max-age={}", self.max_age).into()
    }
}
impl Reply for OpenApi {
    const CACHE: &'static str = "public, max-age=300";
}
impl Reply for AsyncApi {
    const CACHE: &'static str = "public, max-age=300";
}
