//! The whole server inside another program: `cargo run -p authy-examples --example serve`, then
//! `curl http://127.0.0.1:8080/authy/status`. Control-C ends it.

use std::env;

use authy_core::{
    Authy, ClientInfo,
    engine::{Caller, MasterKeys},
};
use authy_examples::{ExampleDatabase, Result};
use authy_server::{HttpConfig, Server};
use tokio::{net::TcpListener, signal};

#[tokio::main]
async fn main() -> Result {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&address).await?;
    let url = format!("http://{}", listener.local_addr()?);

    let database = ExampleDatabase::open().await?;
    let builder = Authy::builder(database.config()).master_keys(MasterKeys::generate()?).default_issuer(&url);
    let authy = builder.start().await?;
    if let Some((name, password)) =
        authy.users().create_first_administrator(&Caller::operator(ClientInfo::default())).await?
    {
        println!("administrator: {name} {}", password.expose());
    }
    println!("listening on {url}");
    let stop = async { signal::ctrl_c().await.unwrap_or_default() };
    Server::new(authy.clone(), HttpConfig::default()).serve(listener, stop).await?;
    authy.stop().await;
    Ok(())
}
