//! The typed client of authy. A service needs this crate only: what its functions take and return is re-exported.
//!
//! - [`Client`] calls the server: [`Client::call`] for any endpoint, and a method for each of them.
//! - [`Session`] keeps the tokens of a login, and refreshes them.
//! - [`LocalVerifier`] verifies tokens without a request: it caches the public keys and follows revocations.
//! - [`RequireAuth`] guards a tower service with a [`Client`], a [`LocalVerifier`] or an embedded `Authy`.
//!
//! | feature | adds |
//! |---|---|
//! | `axum` | extractors and responses for axum, as `authy_client::axum` |
//! | `opentelemetry` | each request is a part of the current OpenTelemetry span, if there is one |
//! | `test-util` | an authenticator for tests of services; a server for them has the feature `test-util` of authy-server |
//!
//! ```no_run
//! use authy_client::{Client, RequireAuth, Secret, api::session::Credentials};
//!
//! # async fn call() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("https://auth.example.org").build()?;
//! let session = client.session().login(Credentials::new("ada", Secret::new("difference-engine-no-2"))).await?;
//! let me = session.client().await?.get_self().await?;
//!
//! let verifier = client.verifier().audience("shop").start().await?;
//! let guard = RequireAuth::new(verifier).level(10);
//! # Ok(())
//! # }
//! ```

// docs.rs compiles with nightly and shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod calls;
mod client;
mod error;
#[cfg(feature = "fuzz-entry-points")]
#[doc(hidden)]
pub mod fuzz;
mod local;
mod pages;
mod replaced_file;
mod response;
mod session;
mod trace_context;
mod transport;

/// The crate of the shared types, with those that have no name here. Its `Error` is that of an [`Authenticator`].
pub use authy_core;
#[cfg(feature = "axum")]
pub use authy_core::axum;
#[cfg(feature = "test-util")]
pub use authy_core::test_util;
pub use authy_core::{
    Access, Authenticator, ClientInfo, Description, Email, ErrorKind, EventId, Identity, Invalid, Level, NewPassword,
    RoleName, Secret, SessionId, UserId, Username, api, client_info,
    error::FieldError,
    time::Timestamp,
    tower::{Guarded, RequireAuth},
};

pub use builder::{BuildError, ClientBuilder};
pub use client::Client;
pub use error::{Error, Result};
/// The library of streams: its `TryStreamExt` has the methods of the lists that [`Client::users`], [`Session::events`] and others
/// return.
pub use futures_util;
pub use local::{LocalVerifier, StartError, VerifierBuilder, WhenStale};
/// The TLS library whose configuration [`ClientBuilder::tls`] takes.
pub use rustls;
pub use session::{Session, SessionBuilder, SessionError};
