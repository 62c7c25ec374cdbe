//! The server of authy: the JSON API under `/authy`, on plain hyper.
//!
//! [`Server`] serves an [`Authy`](authy_core::Authy) on a listener, inside any program; the binary of this crate adds a
//! command line, a configuration and a PostgreSQL of its own.

// docs.rs compiles with nightly and shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod asyncapi;
pub mod cli;
pub mod config;
#[cfg(feature = "fuzz-entry-points")]
#[doc(hidden)]
pub mod fuzz;
pub mod openapi;
pub mod sink;

mod call;
mod cors;
mod error_reply;
mod handlers;
mod http_config;
mod limit;
mod log;
mod page;
mod reply;
mod request;
mod route;
mod routes;
mod server;
mod service;
mod start;
mod stream;
mod table;

pub use http_config::HttpConfig;
pub use limit::{InvalidRateLimit, RateLimit, RateLimits};
pub use log::may_be_logged;
pub use server::Server;
pub use sink::{InvalidWebhook, Webhook, WebhookSecrets, WebhookUrl};
pub use stream::{StreamLimits, StreamShare};
