//! `RequireAuth` in front of services of other frameworks, each over a socket: their responses have bodies of any type.

use std::{convert::Infallible, net::SocketAddr};

use authy_client::RequireAuth;
use authy_core::{Error, ErrorKind, Identity};
use authy_tests::{
    TestApp,
    wire::{self, Answer},
};
use axum::{Extension, Router, routing::get};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::{Body, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tonic::{
    Code, Status,
    transport::{Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer as _, Service, service_fn};

/// Serves a tower service on hyper.
async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let http = auto::Builder::new(TokioExecutor::new());
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn caller(request: &Request<Incoming>) -> Full<Bytes> {
    Full::from(request.extensions().get::<Identity>().unwrap().public_id.to_string())
}

async fn serve_axum(guard: &RequireAuth) -> SocketAddr {
    let handler = async |Extension(caller): Extension<Identity>| caller.public_id.to_string();
    let router = Router::new().route("/", get(handler)).layer(guard.clone());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn ask(address: SocketAddr, token: &str) -> Answer {
    wire::send(address, &format!("GET / HTTP/1.1\nx-request-id: one\nx-access-token: {token}"), "").await
}

#[tokio::test]
async fn a_guard_fits_services_with_any_body() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let guard = RequireAuth::new(app.authy.clone()).level(10);
    let full = guard.layer(service_fn(async |request| Ok::<_, Infallible>(Response::new(caller(&request)))));
    let boxed = guard.layer(service_fn(async |request| {
        Ok::<_, Infallible>(Response::new(BoxBody::new(caller(&request).map_err(|never| match never {}))))
    }));
    for address in [serve_axum(&guard).await, serve(full).await, serve::<_, _>(boxed).await] {
        let answer = ask(address, user.token.expose()).await;
        assert_eq!((answer.status, &*answer.body), (200, &*user.id.to_string()));
        let answer = ask(address, "no.token.this").await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer error=\"invalid_token\""));
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!((&answer.json()["code"], &answer.json()["request_id"]), (&"invalid_token".into(), &"one".into()));
    }
}

fn grpc_refusal(error: &Error, _: &HeaderMap) -> Response<Bytes> {
    let code = match error.kind() {
        ErrorKind::InsufficientLevel => Code::PermissionDenied,
        ErrorKind::Unavailable => Code::Unavailable,
        _ => Code::Unauthenticated,
    };
    Status::new(code, error.detail()).into_http()
}

#[tokio::test]
async fn a_refusal_of_grpc_is_one_that_its_callers_understand() {
    let app = TestApp::new().await;
    let (user, admin) = (app.user().await, app.admin().await);
    let guard = RequireAuth::new(app.authy.clone()).level(5).refuse_with(grpc_refusal);
    let (_, health) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", incoming.local_addr().unwrap());
    let server = Server::builder().layer(guard).add_service(health);
    tokio::spawn(server.serve_with_incoming(incoming));
    let client = HealthClient::new(Endpoint::from_shared(url).unwrap().connect().await.unwrap());
    for (token, expected) in [
        (Some(admin.token.expose()), Ok(())),
        (Some(user.token.expose()), Err((Code::PermissionDenied, "your level does not permit this"))),
        (Some("no.token.this"), Err((Code::Unauthenticated, ""))),
        (None, Err((Code::Unauthenticated, "no token was sent"))),
    ] {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let answer = client.clone().check(request).await;
        match (answer, expected) {
            (Ok(_), Ok(())) => {}
            (Err(status), Err((code, message))) => {
                assert!(status.code() == code && status.message().contains(message), "{status:?}");
            }
            (answer, expected) => panic!("{answer:?} is not {expected:?}"),
        }
    }
}
