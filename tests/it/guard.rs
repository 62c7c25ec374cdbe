//! `RequireAuth` in front of a service, and what a client says of a server that does not answer as it should.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use authy_client::{Client, RequireAuth};
use authy_core::{Authenticator, ErrorKind, Identity, Level, Secret, api::session::Credentials};
use authy_tests::{PASSWORD, TestApp};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower::{Layer as _, ServiceExt as _, service_fn};

mod frameworks;

/// Sends a request through a guard; the status and the body of the answer.
async fn through(guard: &RequireAuth, token: Option<&str>) -> (Response<()>, String) {
    let service = guard.layer(service_fn(|request: Request<()>| async move {
        let caller = request.extensions().get::<Identity>().unwrap().public_id;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(caller.to_string())))
    }));
    let mut request = Request::builder().header("x-request-id", "one");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let (head, body) = service.oneshot(request.body(()).unwrap()).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, ()), String::from_utf8(body.to_vec()).unwrap())
}

fn code(body: &str) -> String {
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["request_id"], "one");
    problem["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_guard_passes_on_who_has_the_level_and_the_role() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let token = Some(user.token.expose());
    let any = RequireAuth::new(app.authy.clone());
    let (answer, body) = through(&any, token).await;
    assert_eq!((answer.status(), body), (StatusCode::OK, user.id.to_string()));

    for (guard, token, status, refusal) in [
        (any.clone(), None, 401, "token_required"),
        (any.clone(), Some("no.token.this"), 401, "invalid_token"),
        (any.clone().level(5), token, 403, "insufficient_level"),
        (any.clone().role("admin".parse().unwrap()), token, 403, "insufficient_level"),
    ] {
        let (answer, body) = through(&guard, token).await;
        assert_eq!((answer.status().as_u16(), code(&body).as_str()), (status, refusal), "{guard:?}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert!(answer.headers().contains_key(header::WWW_AUTHENTICATE), "{answer:?}");
    }
    assert_eq!(through(&any.clone().level(10).role("user".parse().unwrap()), token).await.0.status(), StatusCode::OK);

    // Behind any pointer, it is the same authenticator.
    let shared: Arc<dyn Authenticator> = Arc::new(app.authy.clone());
    let boxed: Box<dyn Authenticator> = Box::new(shared.clone());
    let referred = Authenticator::authenticate(&&boxed, user.token.expose()).await.unwrap();
    for guard in [RequireAuth::new(shared), RequireAuth::new(boxed)] {
        assert_eq!(through(&guard, token).await.1, referred.public_id.to_string());
    }
    assert!(referred.has_role(&"user".parse().unwrap()) && !referred.has_role(&"admin".parse().unwrap()));
    assert!(referred.at_least(Level::clamped(10)) && !referred.at_least(Level::clamped(9)));

    // By hand, for a service that is not tower's.
    let mut headers = HeaderMap::new();
    headers.insert("x-access-token", user.token.expose().parse().unwrap());
    assert_eq!(any.check(&headers).await.unwrap().public_id, user.id);
}

#[tokio::test]
async fn a_guard_that_cannot_ask_says_unavailable() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let guard = RequireAuth::new(app.anonymous());
    assert_eq!(through(&guard, Some(user.token.expose())).await.0.status(), StatusCode::OK);
    app.stop().await;
    let (answer, body) = through(&guard, Some(user.token.expose())).await;
    assert_eq!((answer.status(), code(&body).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
}

/// A server that reads one request after the other, and answers each as it is told.
async fn server(answer: &'static str) -> (String, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut open: Vec<TcpStream> = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await?;
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await?;
            stream.write_all(answer.as_bytes()).await?;
            match answer {
                // It is kept waiting.
                "" => open.push(stream),
                _ => drop(stream),
            }
        }
    });
    (url, serving)
}

#[tokio::test]
async fn an_answer_that_is_missing_or_incomplete_is_an_error_that_says_so() {
    for (answer, said) in [
        ("", "in time"),
        ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{", "broke off"),
        ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]", "expects"),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "502"),
    ] {
        let (url, serving) = server(answer).await;
        let client = Client::builder(&url).timeout(Duration::from_millis(300)).retries(0).build().unwrap();
        let error = client.login(Credentials::new("ada", Secret::new(PASSWORD))).await.unwrap_err();
        assert!(error.is_unavailable() && error.may_have_been_sent(), "{answer:?}: {error:?}");
        assert!(format!("{error} {error:?}").contains(said), "{answer:?}: {error} {error:?}");
        let refused = authy_core::Authenticator::authenticate(&client, "a.good.token").await.unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Unavailable | ErrorKind::InvalidToken), "{answer:?}: {refused:?}");
        serving.abort();
    }
}
