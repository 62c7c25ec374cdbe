//! authy inside a program, on the program's own PostgreSQL: `cargo run -p authy-examples --example embed`.

use authy_core::{
    Authenticator as _, Authy, ClientInfo, Secret,
    api::{session::Credentials, user::NewUser},
    engine::{Caller, MasterKeys},
};
use authy_examples::{ExampleDatabase, Result};

#[tokio::main]
async fn main() -> Result {
    let database = ExampleDatabase::open().await?;
    let authy = Authy::builder(database.config()).master_keys(MasterKeys::generate()?).start().await?;
    let caller = Caller::anonymous(ClientInfo::default());

    let password = Secret::new("difference-engine-no-2");
    let ada = NewUser::new("ada", "ada@example.org", password.clone())?;
    let id = authy.users().register(&caller, ada).await?;
    println!("signed up: {id}");

    let tokens = authy.sessions().login(&caller, Credentials::new("ada", password)).await?;
    let identity = authy.authenticate(tokens.token.expose()).await?;
    println!("checked:   {} with level {}", identity.public_id, identity.level);

    authy.users().delete(&Caller::user(identity, ClientInfo::default()), id).await?;
    let refused = authy.authenticate(tokens.token.expose()).await;
    println!("deleted:   {}", refused.err().map_or("still there".to_owned(), |error| error.to_string()));
    // Ends the background work, which began with the engine.
    authy.stop().await;
    Ok(())
}
