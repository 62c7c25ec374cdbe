//! The API inside another program's HTTP server, as a tower service.

use std::{net::SocketAddr, time::Duration};

use authy_core::{
    Authenticator as _, Authy, ErrorKind,
    api::{Method, RateClass},
    engine::MasterKeys,
};
use authy_server::{HttpConfig, PeerAddress, RateLimits};
use authy_tests::{
    TestApp, cheap, credentials, database, new_user,
    wire::{get, post},
};
use axum::{Router, routing};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tower::ServiceExt as _;

fn limited() -> HttpConfig {
    HttpConfig {
        limits: RateLimits { login: "1/day".parse().unwrap(), ..RateLimits::default() },
        ..HttpConfig::default()
    }
}

#[tokio::test]
async fn an_axum_program_answers_for_authy_beside_its_own_paths() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let service = authy_server::service(app.authy.clone(), limited());
    let router = Router::new().route("/orders", routing::get(async || "orders")).fallback_service(service.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let served = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>());
        served.with_graceful_shutdown(async { drop(stopped.await) }).await
    });

    assert_eq!(get(address, "/orders").await.body, "orders");
    let client = authy_client::Client::builder(&format!("http://{address}")).retries(0).build().unwrap();
    let tokens = client.login(credentials(&user.username)).await.unwrap();
    let me = client.with_token(tokens.token).get_self().await.unwrap();
    assert_eq!(me.public_id, user.id);
    assert_eq!(get(address, "/authy/unknown").await.code(), "not_found");
    assert_eq!(get(address, "/readyz").await.code(), "not_found", "the program's own paths are its own");
    let body = r#"{"username":"ada","password":"wrong"}"#;
    assert_eq!(post(address, "/authy/login", body).await.status, 429, "the peer's allowance is used up");
    let refused = service.limiter().check(RateClass::Login, address.ip()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::RateLimited, "the program's own login has the same allowance");

    // A verifier follows revocations through it, and does not keep the program from stopping.
    let verifier = client.verifier().issuer(app.url()).start().await.unwrap();
    service.end_streams();
    drop(stop);
    timeout(Duration::from_secs(10), serving).await.expect("a follower keeps it running").unwrap().unwrap();
    drop(verifier);
}

#[tokio::test]
async fn a_program_that_names_its_url_as_the_issuer_is_verified_by_services_that_know_only_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // As in README.md and docs/embedding.md.
    let builder = Authy::builder(database::fresh().await).master_keys(MasterKeys::generate().unwrap());
    let authy = builder.config(cheap()).default_issuer(&url).start().await.unwrap();
    let router = Router::new().fallback_service(authy_server::service(authy.clone(), HttpConfig::default()));
    let served = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>());
    tokio::spawn(served.into_future());

    let client = authy_client::Client::builder(&url).build().unwrap();
    let verifier = client.verifier().start().await.unwrap();
    let id = client.register(new_user("ada")).await.unwrap().public_id;
    let tokens = client.login(credentials("ada")).await.unwrap();
    assert_eq!(verifier.authenticate(tokens.token.expose()).await.unwrap().public_id, id);
    authy.stop().await;
}

#[tokio::test]
async fn a_hyper_program_says_where_a_request_came_from_and_without_that_nothing_is_answered() {
    let app = TestApp::new().await;
    let service = authy_server::service(app.authy.clone(), limited());
    let request = |peer: Option<&str>| {
        let mut request = Request::builder().method(Method::POST).uri("/authy/login");
        request = request.header("content-type", "application/json");
        if let Some(peer) = peer {
            request = request.extension(PeerAddress(peer.parse().unwrap()));
        }
        request.body(Full::from(r#"{"username":"nobody","password":"wrong"}"#)).unwrap()
    };
    let status = async |peer| service.clone().oneshot(request(peer)).await.unwrap().status().as_u16();
    assert_eq!(status(Some("192.0.2.1")).await, 401);
    assert_eq!(status(Some("192.0.2.1")).await, 429);
    assert_eq!(status(Some("192.0.2.2")).await, 401, "another address has an allowance of its own");
    let answer = service.clone().oneshot(request(None)).await.unwrap();
    assert_eq!(answer.status(), 500);
    let problem = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&problem).contains("urn:authy:problem:internal"));

    // Over a socket, with the body as it comes from hyper.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let service = service.clone();
            let answer = service_fn(move |mut request| {
                request.extensions_mut().insert(PeerAddress(peer.ip()));
                service.clone().oneshot(request)
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    let answered = timeout(Duration::from_secs(10), get(address, "/authy/status")).await.unwrap();
    assert_eq!((answered.status, answered.header("x-content-type-options")), (200, "nosniff"));
    serving.abort();
}
