//! Authentication and authorization on PostgreSQL.
//!
//! The crate has three layers. Each uses only those above it in this list:
//!
//! - **vocabulary** ([`UserId`], [`Username`], [`Level`], [`Identity`], [`Error`], [`claims`]): checked types without
//!   I/O;
//! - **wire** ([`api`]): one row per endpoint. Server, client and documentation are generated from the rows;
//! - **engine** ([`Authy`], feature `engine`): everything that needs PostgreSQL or hashes a password.
//!
//! Without the feature `engine` the crate contains only the types that a server and its clients share.

// docs.rs compiles with nightly and shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Wire types derive their JSON Schema only with the feature `schema`. This macro is the only place that decides it.
#[cfg(feature = "schema")]
macro_rules! wire {
    ($($(#[$attribute:meta])* pub $kind:ident $name:ident $body:tt)+) => { $(
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $(#[$attribute])* pub $kind $name $body
    )+ };
}
#[cfg(not(feature = "schema"))]
macro_rules! wire {
    ($($(#[$attribute:meta])* pub $kind:ident $name:ident $body:tt)+) => { $(
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        $(#[$attribute])* pub $kind $name $body
    )+ };
}

#[cfg(feature = "schema")]
macro_rules! sent {
    ($item:item) => {
        #[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
        $item
    };
}
#[cfg(not(feature = "schema"))]
macro_rules! sent {
    ($item:item) => {
        #[derive(Clone, Debug, serde::Serialize)]
        $item
    };
}

/// Implements the JSON Schema of a checked type when the feature `schema` is enabled.
#[cfg(feature = "schema")]
macro_rules! described {
    ($name:ident, $schema:tt) => {
        described!($name, $schema, stored $schema);
    };
    ($name:ident, $schema:tt, stored $stored:tt) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                match generator.contract().is_deserialize() {
                    true => schemars::json_schema!($schema),
                    false => schemars::json_schema!($stored),
                }
            }
        }
    };
}
#[cfg(not(feature = "schema"))]
macro_rules! described {
    ($($description:tt)+) => {};
}

/// A type with a JSON Schema: every wire type has one.
#[cfg(feature = "schema")]
pub use schemars::JsonSchema as Schema;

/// A type with a JSON Schema: every wire type has one when the feature `schema` is enabled.
#[cfg(not(feature = "schema"))]
pub trait Schema {}
#[cfg(not(feature = "schema"))]
impl<T: ?Sized> Schema for T {}

pub mod access;
pub mod api;
#[cfg(feature = "axum")]
pub mod axum;
pub mod claims;
pub mod client_info;
pub mod encryption;
pub mod error;
pub mod file;
#[cfg(feature = "engine")]
pub mod histogram;
pub mod http_url;
mod id;
mod id_hash;
mod identity;
mod invalid;
mod jwk;
mod level;
mod log_interval;

mod name;
pub mod network;
pub mod revocation;
mod secret;
#[cfg(feature = "test-util")]
pub mod test_util;
pub mod time;
#[cfg(feature = "tls")]
pub mod tls;
pub mod token_cache;
#[cfg(feature = "tower")]
pub mod tower;

#[cfg(feature = "engine")]
pub mod engine;

pub use access::Access;
pub use client_info::ClientInfo;
pub use error::{Error, ErrorKind, Result};
pub use id::{EventId, SessionId, UserId};
pub use identity::{Authenticator, Identity};
pub use invalid::Invalid;
pub use jwk::Jwk;
pub use level::Level;
pub use name::{AddrSpec, Description, Email, RoleName, Username};
pub use secret::{NewPassword, Secret};

#[cfg(feature = "engine")]
pub use engine::Authy;
