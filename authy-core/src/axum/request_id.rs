//! Gives each request an ID.

use ::axum::{extract::Request, http::HeaderValue, middleware::Next, response::Response};
use uuid::Uuid;

use crate::client_info::{REQUEST_ID, request_id};

tokio::task_local! {
    /// An error that a handler returns becomes a response without its request at hand.
    static CURRENT: HeaderValue;
}

/// Middleware that gives each request an ID: that of the header `x-request-id`, when it has 1 to 64 plain characters, or
/// else a new one. The response has it in the same header, [`ClientInfo`](crate::ClientInfo) and with it the audit trail
/// have it, and so have problem documents and the log, which contains the cause of an error.
///
/// ```
/// use axum::{Router, middleware::from_fn, routing::get};
///
/// # fn app() -> Router {
/// Router::new().route("/bids", get(async || "no bids yet")).layer(from_fn(authy_core::axum::assign_request_id))
/// # }
/// ```
pub async fn assign_request_id(mut request: Request, next: Next) -> Response {
    let new = || HeaderValue::try_from(Uuid::new_v4().to_string()).unwrap_or(HeaderValue::from_static("-"));
    let id = request_id(request.headers()).cloned().unwrap_or_else(new);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = CURRENT.scope(id.clone(), next.run(request)).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Returns the ID of the request that the task answers, if [`assign_request_id`] has given it one.
pub(super) fn current() -> Option<HeaderValue> {
    CURRENT.try_with(HeaderValue::clone).ok()
}
