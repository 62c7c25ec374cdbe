//! A shop on a database of its own, and requests to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use authy_core::{
    Authy, ClientInfo,
    engine::{Caller, MasterKeys},
};
use authy_server::{
    HttpConfig, RateLimits,
    sink::Mails,
    test_util::{TestDatabase, TestMailbox},
};
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const PASSWORD: &str = "difference-engine-no-2";

pub(crate) struct TestShop {
    authy: Authy,
    router: Router,
    pub(crate) database: tokio_postgres::Client,
    pub(crate) mails: TestMailbox,
    // Removed last.
    _test_database: TestDatabase,
}

/// What the shop answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl TestShop {
    pub(crate) async fn start() -> Self {
        Self::with_limits(RateLimits::default()).await
    }

    pub(crate) async fn with_limits(limits: RateLimits) -> Self {
        let test_database = TestDatabase::create().await.unwrap();
        let (url, mails) = ("http://shop.example", TestMailbox::new());
        let sent = Mails::test(&mails, url).unwrap();
        let keys = MasterKeys::generate().unwrap();
        let authy = authy_example_shop::start(test_database.config(), keys, url.to_owned(), sent).await.unwrap();
        let api = authy_server::service(authy.clone(), HttpConfig { limits, ..HttpConfig::default() });
        let router = authy_example_shop::router(authy.clone(), api);
        let (database, connection) = test_database.config().connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { authy, router, database, mails, _test_database: test_database }
    }

    /// Sends a request from an address.
    pub(crate) async fn send_from(&self, address: IpAddr, request: Request<Body>) -> Answer {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::from((address, 40_000))));
        let response = self.router.clone().oneshot(Request::from_parts(parts, body)).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::String(String::from_utf8_lossy(&body).into_owned()));
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from(Ipv4Addr::LOCALHOST.into(), request).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(bearer(Request::get(path), token).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.send(post(path, token, &body)).await
    }

    /// Signs a customer up, and returns the ID.
    pub(crate) async fn sign_up(&self, name: &str) -> String {
        let answer = self.post("/signup", "", sign_up(name)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.body["public_id"].as_str().unwrap().to_owned()
    }

    /// Logs in, and returns the access token.
    pub(crate) async fn log_in(&self, name: &str, password: &str) -> String {
        let answer = self.post("/login", "", json!({ "username": name, "password": password })).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body["token"].as_str().unwrap().to_owned()
    }

    /// Creates the first administrator, and returns the access token.
    pub(crate) async fn log_in_administrator(&self) -> String {
        let operator = Caller::operator(ClientInfo::default());
        let (name, password) = self.authy.users().create_first_administrator(&operator).await.unwrap().unwrap();
        self.log_in(&name.to_string(), password.expose()).await
    }
}

/// A sign-up that is accepted.
pub(crate) fn sign_up(name: &str) -> Value {
    json!({
        "username": name,
        "email": format!("{name}@example.org"),
        "password": PASSWORD,
        "confirm_password": PASSWORD,
        "favourite_colour": "teal",
    })
}

pub(crate) fn post(path: &str, token: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    bearer(request, token).body(body.to_string().into()).unwrap()
}

fn bearer(request: axum::http::request::Builder, token: &str) -> axum::http::request::Builder {
    if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) }
}
