//! A service on axum whose callers are verified without a request to authy each, and that hears of a logout within a
//! second. With a server running (`make run`): `cargo run -p authy-examples --example axum_service`, then
//! `curl http://127.0.0.1:8082/bids -H "authorization: Bearer $TOKEN"`.

use std::env;

use authy_client::{Client, Identity, RequireAuth};
use authy_examples::Result;
use axum::{Extension, Router, routing::get};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result {
    let authy = env::var("AUTHY").unwrap_or("http://127.0.0.1:8080".to_owned());
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8082".to_owned());
    let verifier = Client::builder(&authy).build()?.verifier().start().await?;
    let app = Router::new()
        .route("/bids", get(bids).layer(RequireAuth::new(verifier.clone()).level(10)))
        .route("/auctions", get(auctions).layer(RequireAuth::new(verifier).role("admin".parse()?)));
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn bids(Extension(caller): Extension<Identity>) -> String {
    format!("no bids yet, {}\n", caller.public_id)
}

async fn auctions(Extension(caller): Extension<Identity>) -> String {
    format!("no auctions yet, administrator {}\n", caller.public_id)
}
