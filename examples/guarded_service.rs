//! A sibling service that checks its callers through the client. With a server running (`make run`):
//! `cargo run -p authy-examples --example guarded_service`, then
//! `curl http://127.0.0.1:8081/bids -H "authorization: Bearer $TOKEN"`.

use std::{convert::Infallible, env, sync::Arc};

use authy_client::Client;
use authy_core::{Access, Authenticator, Error, ErrorKind, Identity};
use authy_examples::Result;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Bytes, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result {
    let authy = env::var("AUTHY_URL").unwrap_or("http://127.0.0.1:8080".to_owned());
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8081".to_owned());
    let guard: Arc<dyn Authenticator> = Arc::new(Client::builder(&authy).build()?);
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}, callers are checked by {authy}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let guard = guard.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&*guard, request));
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

async fn answer(
    guard: &dyn Authenticator,
    request: Request<Incoming>,
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match check(guard, &request).await {
        Ok(caller) => {
            (StatusCode::OK, format!("no bids yet, {}\n", caller.username.map_or("friend".into(), String::from)))
        }
        // "Your token is bad", "you may not" and "we cannot tell" are three different answers.
        Err(error) => match error.kind() {
            ErrorKind::InsufficientLevel => (StatusCode::FORBIDDEN, "your roles do not permit this\n".to_owned()),
            _ if error.is_unavailable() => (StatusCode::SERVICE_UNAVAILABLE, "ask again in a moment\n".to_owned()),
            _ => (StatusCode::UNAUTHORIZED, "a good token is required\n".to_owned()),
        },
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    Ok(response)
}

/// Who calls, when they may: level 10, that of the role `user`, or more powerful.
async fn check(guard: &dyn Authenticator, request: &Request<Incoming>) -> authy_core::Result<Identity> {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or_else(|| Error::new(ErrorKind::TokenRequired, "no token was sent"))?;
    let caller = guard.authenticate(token).await?;
    Access::Level(10).permit(&caller)?;
    Ok(caller)
}
