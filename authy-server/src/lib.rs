//! The server of authy: the JSON API under `/authy`, on plain hyper.
//!
//! - [`Server`] serves an [`Authy`](authy_core::Authy) on a listener, inside any program.
//! - [`service`] is the same API as a tower service, for a program that has an HTTP server.
//! - [`sink`] has the sinks for RabbitMQ, mail and a webhook, and [`RateLimiter`] the limits per address, for programs
//!   that embed the engine without the API.
//! - The program `authy-server` adds a command line, a configuration, and a PostgreSQL of its own.
//!
//! # Features
//!
//! All but `axum`, `otlp` and `test-util` are on by default, and each can be left out.
//!
//! | feature | adds |
//! |---|---|
//! | `amqp` | [`sink::Amqp`]: events to RabbitMQ |
//! | `mail` | [`sink::MailSink`]: mails by SMTP or into a folder |
//! | `tls` | [`tls`]: TLS and HTTP/2 of the server's own listeners |
//! | `ui` | [`Pages`]: sign up, log in and the account in a browser, under `/authy/ui` |
//! | `webhook` | [`sink::Webhook`]: a signed request for each sign-up |
//! | `cli` | the program, with its settings |
//! | `embedded-postgres` | a PostgreSQL in the data folder of the program |
//! | `otlp` | traces: [`HttpConfig::traces`], spans of deliveries, and an exporter in the program |
//! | `axum` | [`service`] reads the address of the client from axum's `ConnectInfo` |
//! | `test-util` | [`test_util`]: a server for tests of services, on a PostgreSQL of its own |

// docs.rs compiles with nightly and shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod asyncapi;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
#[cfg(feature = "fuzz-entry-points")]
#[doc(hidden)]
pub mod fuzz;
pub mod openapi;
pub mod sink;

mod access_log;
mod call;
mod compat;
mod cors;
mod error_reply;
mod handlers;
mod http_config;
mod limit;
#[cfg(any(feature = "cli", feature = "mail"))]
mod link_template;
mod listener;
mod log;
mod message;
mod metrics;
mod mounted;
mod operations;
#[cfg(any(feature = "cli", feature = "webhook"))]
mod outgoing;
mod page;
mod peer;
mod reply;
mod request;
mod route;
mod routes;
mod server;
mod service;
#[cfg(feature = "cli")]
mod start;
mod stream;
mod table;
#[cfg(feature = "test-util")]
pub mod test_util;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "otlp")]
mod traces;
#[cfg(not(feature = "otlp"))]
#[path = "no_traces.rs"]
mod traces;
#[cfg(feature = "ui")]
mod ui;
#[cfg(any(feature = "mail", feature = "ui"))]
mod user_agent;

pub use access_log::AccessLog;
pub use compat::{Compat, UnknownCompat};
pub use http_config::HttpConfig;
pub use limit::{InvalidRateLimit, RateLimit, RateLimiter, RateLimits};
#[cfg(any(feature = "cli", feature = "mail"))]
pub use link_template::{InvalidLinkTemplate, LinkTemplate};
pub use log::may_be_logged;
pub use mounted::{AuthyService, PeerAddress, service};
pub use reply::ResponseBody;
pub use server::Server;
pub use stream::{StreamLimits, StreamShare};
#[cfg(feature = "ui")]
pub use ui::{Color, InvalidColor, InvalidLooks, Looks, Pages};
