//! The system itself: what it offers, and how it is.

use serde_json::{Map, Value};

use super::{Nothing, Reply, endpoints};
use crate::Access;

const SUBJECT: &str = "system";

endpoints! {
    /// Every path and its methods.
    ListEndpoints: GET "/authy" () Nothing => EndpointList, Access::Public;

    /// That the server is there, and which version it is.
    GetStatus: GET "/authy/status" () Nothing => Status, Access::Public;

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
impl Reply for OpenApi {
    const CACHE: &'static str = "public, max-age=300";
}
impl Reply for AsyncApi {
    const CACHE: &'static str = "public, max-age=300";
}
