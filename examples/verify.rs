//! Verifies an access token here, with the published keys and the revocations:
//! `cargo run -p authy-examples --example verify -- http://127.0.0.1:8080 "$TOKEN"`.

use std::env;

use authy_client::{Authenticator as _, Client};
use authy_examples::Result;

#[tokio::main]
async fn main() -> Result {
    let mut arguments = env::args().skip(1);
    let (Some(url), Some(token)) = (arguments.next(), arguments.next()) else {
        return Err("usage: verify URL TOKEN".into());
    };
    let verifier = Client::builder(&url).build()?.verifier().start().await?;
    let caller = verifier.authenticate(&token).await?;
    println!("{} has level {}, until {}", caller.public_id, caller.level, caller.expires);
    Ok(())
}
