//! The system: its endpoints, status and documents.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Nothing, Reply, endpoints};
use crate::Access;

const SUBJECT: &str = "system";

endpoints! {
    /// List all paths and their methods.
    ListEndpoints: GET "/authy" () Nothing => EndpointList, Access::Public;

    /// Get the status and the version of the server, and what verifiers of access tokens must know.
    GetStatus: GET "/authy/status" () Nothing => Status, Access::Public;

    /// Get the metadata for verifiers of access tokens (RFC 8414): issuer, keys, audience, algorithms, and the maximum lifetime
    /// of a token.
    ///
    /// A verifier refuses a token whose lifetime (`exp` minus `iat`) exceeds `access_token_max_lifetime`.
    GetMetadata: GET "/authy/.well-known/oauth-authorization-server" () Nothing => ServerMetadata, Access::Public;

    /// Get the same metadata at the path where libraries look for it.
    GetMetadataAtRoot: GET "/.well-known/oauth-authorization-server" () Nothing => ServerMetadata, Access::Public;

    /// Always responds with 429, to test how a client handles it.
    GetRateLimited: GET "/authy/ratelimited" () Nothing => Nothing, Access::Public; fails RateLimited;

    /// Get this document.
    GetOpenApi: GET "/authy/openapi.json" () Nothing => OpenApi, Access::Public;

    /// Get the AsyncAPI document of the messages that are sent to a broker.
    GetAsyncApi: GET "/authy/asyncapi.json" () Nothing => AsyncApi, Access::Public;
}

wire! {
    /// All paths and their methods.
    pub struct EndpointList {
        /// The paths, one entry each.
        pub endpoints: Vec<EndpointEntry>,
    }

    /// A path and its methods.
    pub struct EndpointEntry {
        /// The path, with parameters in angle brackets.
        #[cfg_attr(feature = "schema", schemars(example = &"/authy/role/<role_name>/users"))]
        pub url: String,
        /// The supported methods.
        #[cfg_attr(feature = "schema", schemars(example = ["OPTIONS", "HEAD", "GET"]))]
        pub methods: Vec<String>,
    }

    /// The status of the server.
    pub struct Status {
        /// A message for people.
        #[cfg_attr(feature = "schema", schemars(example = &"authy is here"))]
        pub message: String,
        /// The version of the server.
        #[cfg_attr(feature = "schema", schemars(example = &"0.1.0"))]
        pub version: String,
        /// What verifiers of access tokens must know, as `/.well-known/oauth-authorization-server` says it.
        pub metadata: ServerMetadata,
    }

    /// The metadata for verifiers of access tokens. It contains the members of RFC 8414 that apply: authy issues tokens at its
    /// own endpoints, so there are no response types and no OAuth token endpoint. RFC 8414 does not define the members that begin
    /// with `access_token`.
    pub struct ServerMetadata {
        /// The `iss` of all tokens.
        #[cfg_attr(feature = "schema", schemars(example = &"https://auth.example.org"))]
        pub issuer: String,
        /// The URL of the public keys; absent when the issuer is not a URL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(example = &"https://auth.example.org/authy/.well-known/jwks.json"))]
        pub jwks_uri: Option<String>,
        /// The `aud` of all tokens.
        #[cfg_attr(feature = "schema", schemars(example = &"authy"))]
        pub access_token_audience: String,
        /// The algorithms of the keys that are currently published.
        #[cfg_attr(feature = "schema", schemars(example = ["EdDSA"]))]
        pub access_token_signing_alg_values_supported: Vec<String>,
        /// Maximum lifetime of a token, from `iat` to `exp`, in seconds.
        #[cfg_attr(feature = "schema", schemars(example = 900))]
        pub access_token_max_lifetime: u64,
        /// Maximum time in seconds for which this may be cached, as in `Cache-Control`.
        #[serde(skip)]
        pub max_age: u64,
    }

    /// An OpenAPI 3.1 document.
    #[serde(transparent)]
    #[cfg_attr(feature = "schema", schemars(example = serde_json::json!({ "openapi": "3.1.0" })))]
    pub struct OpenApi {
        /// The document.
        pub document: Map<String, Value>,
    }

    /// An AsyncAPI 3.0 document.
    #[serde(transparent)]
    #[cfg_attr(feature = "schema", schemars(example = serde_json::json!({ "asyncapi": "3.0.0" })))]
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
