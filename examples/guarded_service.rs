//! A sibling service that checks its callers through the client. With a server running (`make run`):
//! `cargo run -p authy-examples --example guarded_service`, then
//! `curl http://127.0.0.1:8081/bids -H "authorization: Bearer $TOKEN"`.

use std::{convert::Infallible, env};

use authy_client::{Client, RequireAuth};
use authy_examples::Result;
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result {
    let authy = env::var("AUTHY").unwrap_or("http://127.0.0.1:8080".to_owned());
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8081".to_owned());
    // Level 10, that of the role `user`, or more powerful. The client asks the server about every token.
    let guard = RequireAuth::new(Client::builder(&authy).build()?).level(10);
    let listener = TcpListener::bind(&address).await?;
    println!("callers are checked by {authy}");
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let guard = guard.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&guard, request));
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new());
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

async fn answer(guard: &RequireAuth, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match guard.check(request.headers()).await {
        Ok(caller) => Response::new(Full::from(format!("no bids yet, {}\n", caller.public_id))),
        // "Your token is bad", "you may not" and "we cannot tell" are three different answers.
        Err(error) => RequireAuth::refusal(&error, request.headers()),
    })
}
