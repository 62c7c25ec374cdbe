//! The same on plain hyper: a tower service behind the guard, and no framework. With a server running (`make run`):
//! `cargo run -p authy-examples --example hyper_service`, then
//! `curl http://127.0.0.1:8083/bids -H "authorization: Bearer $TOKEN"`.

use std::{convert::Infallible, env};

use authy_client::{Client, Identity, RequireAuth};
use authy_examples::Result;
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> Result {
    let authy = env::var("AUTHY").unwrap_or("http://127.0.0.1:8080".to_owned());
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8083".to_owned());
    let verifier = Client::builder(&authy).build()?.verifier().start().await?;
    let service = ServiceBuilder::new().layer(RequireAuth::new(verifier).level(10)).service(service_fn(bids));
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new());
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

async fn bids(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // The guard puts it there, and refuses requests without one.
    let caller = request.extensions().get::<Identity>().map(|caller| caller.public_id.to_string());
    Ok(Response::new(Full::from(format!("no bids yet, {}\n", caller.unwrap_or_default()))))
}
