//! How a service tests what its callers may do, without a server: `cargo test -p authy-examples --test sibling_test`.
//! The service has `authy-client = { features = ["test-util"] }` in its `[dev-dependencies]`.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use authy_client::{Authenticator, ErrorKind, Identity, RequireAuth, test_util::FakeAuthenticator};
use axum::{Router, body::Body, routing::get};
use http::Request;
use tower::ServiceExt as _;

/// The service. In production the authenticator is a `LocalVerifier` or a `Client`.
fn app(authenticator: impl Authenticator + 'static) -> Router {
    Router::new().route("/bids", get(|| async { "no bids yet" }).layer(RequireAuth::new(authenticator).level(10)))
}

/// Returns the status of the answer to a caller with this token.
async fn status(app: &Router, token: &str) -> u16 {
    let request = Request::get("/bids").header("authorization", format!("Bearer {token}")).body(Body::empty());
    app.clone().oneshot(request.unwrap()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn bids_are_for_users() {
    let authy = FakeAuthenticator::new()
        .with("ada", Identity::test().level(10).roles(["user"]))
        .with("guest", Identity::test().level(99).roles(["guest"]));
    let app = app(authy.clone());
    assert_eq!(status(&app, "ada").await, 200);
    assert_eq!(status(&app, "unknown").await, 401);
    assert_eq!(status(&app, "guest").await, 403);
    authy.refuse_all(ErrorKind::Unavailable);
    assert_eq!(status(&app, "ada").await, 503);
    authy.recover();
    authy.refuse("ada", ErrorKind::InvalidToken);
    assert_eq!(status(&app, "ada").await, 401);
}
