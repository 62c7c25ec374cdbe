//! Extractors and responses for axum.
//!
//! | a handler takes | and gets |
//! |---|---|
//! | [`Identity`](crate::Identity) | the caller whom the layer [`RequireAuth`](crate::tower::RequireAuth) has authenticated |
//! | [`RequireLevel<10>`](RequireLevel) | a caller with level 10 or more power; needs no layer |
//! | [`ClientInfo`](crate::ClientInfo) | the address, user agent and request ID of the client |
//! | [`CheckedJson<NewUser>`](CheckedJson), [`CheckedQuery<UserQuery>`](CheckedQuery) | a request whose fields are checked |
//!
//! A handler can return [`Error`], and every extractor refuses with one: a problem document (RFC 9457) with its status. It
//! returns a type of authy's API in [`JsonReply`]. The middleware [`assign_request_id`] gives requests the ID under which
//! the log has the cause of an error.
//!
//! ```
//! use authy_core::{Authenticator, Identity, axum::RequireLevel, tower::RequireAuth};
//! use axum::{Router, routing::get};
//!
//! # fn app(authenticator: impl Authenticator + 'static) -> Router {
//! let guard = RequireAuth::new(authenticator);
//! Router::new()
//!     // The layer refuses requests without a good token; the handler finds the caller.
//!     .route("/bids", get(async |caller: Identity| format!("hello, {}", caller.public_id)))
//!     .route_layer(guard.clone())
//!     // Or the handler itself requires a level: nobody gets in when a layer is forgotten.
//!     .route("/auctions", get(async |RequireLevel(caller): RequireLevel<5>| caller.public_id.to_string()))
//!     .with_state(guard)
//! # }
//! ```

use ::axum::{
    body::Body,
    http::request::Parts,
    response::{IntoResponse, Response},
};

use crate::{Error, api::failure, tower::plain_request_id};

mod checked;
mod client;
mod identity;
mod reply;
mod request_id;

pub use checked::{CheckedJson, CheckedQuery};
pub use identity::RequireLevel;
pub use reply::JsonReply;
pub use request_id::assign_request_id;

/// The problem document of the error, which is logged with its cause. It has the request ID when the router has the layer
/// [`assign_request_id`]; without it, only an extractor's [`Rejection`] has one.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let id = request_id::current();
        let id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
        failure::response(&self, id, None).map(Body::from)
    }
}

/// The error of a request that an extractor refuses. As a response: its problem document.
#[derive(Debug)]
pub struct Rejection {
    error: Error,
    request_id: String,
    // What the parser of the body says about this body.
    message: Option<String>,
}

impl Rejection {
    fn new(error: Error, parts: &Parts) -> Self {
        Self { error, request_id: plain_request_id(&parts.headers).to_owned(), message: None }
    }

    /// Returns the error.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        rejection.error
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        failure::response(&self.error, &self.request_id, self.message).map(Body::from)
    }
}
