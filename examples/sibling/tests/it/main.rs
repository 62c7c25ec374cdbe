//! The service with a fake authenticator, and with an authy server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod dependencies;
mod guard;
mod server;
mod start;

use std::net::SocketAddr;

use authy_client::Client;
use authy_server::test_util::{TestServer, TestUser};
use axum::{Router, body::Body, extract::connect_info::MockConnectInfo, http::Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

/// Returns a client without a token.
fn client(authy: &TestServer) -> Client {
    Client::builder(authy.url()).build().unwrap()
}

/// Creates the account of the background job, which reads other accounts.
async fn service_account(authy: &TestServer) -> TestUser {
    authy.create_role("accounts-reader", 5).await;
    authy.create_user("bids", "accounts-reader").await
}

/// The service, as browsers and other programs see it.
struct Bids(Router);

impl Bids {
    fn new(router: Router) -> Self {
        Self(router.layer(MockConnectInfo(SocketAddr::from(([198, 51, 100, 7], 5000)))))
    }

    /// Sends a request, such as `GET /bids`. Returns the status and the body of the answer.
    async fn send(&self, request: &str, token: &str, body: Value) -> (u16, Value) {
        let (method, path) = request.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request =
            request.header("authorization", format!("Bearer {token}")).header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let answer = self.0.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        (head.status.as_u16(), serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default())
    }

    /// Returns the status of the answer to a request without a body.
    async fn status(&self, request: &str, token: &str) -> u16 {
        self.send(request, token, Value::Null).await.0
    }
}
