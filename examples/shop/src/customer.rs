//! Customers: sign-up, login, and the caller's own account.

use authy_core::{
    Authy, ClientInfo, Invalid, Level, Result, UserId,
    api::{
        Field, Fields, FromFields,
        session::{Credentials, Tokens},
        user::{Created, NewUser},
    },
    axum::{CheckedJson, JsonReply, RequireLevel},
    engine::Caller,
};
use axum::{Json, extract::State};
use serde::Serialize;

/// A sign-up: that of authy, and a favourite colour.
pub(crate) struct NewCustomer {
    user: NewUser,
    favourite_colour: Colour,
}

impl FromFields for NewCustomer {
    fn take_from(fields: &mut Fields) -> Option<Self> {
        let user = NewUser::take_from(fields);
        let favourite_colour = fields.take("favourite_colour");
        Some(Self { user: user?, favourite_colour: favourite_colour? })
    }
}

/// The name of a colour: 3 to 20 lower-case letters.
struct Colour(String);

impl Field for Colour {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        match (3..=20).contains(&text.len()) && text.bytes().all(|letter| letter.is_ascii_lowercase()) {
            true => Ok(Self(text.to_owned())),
            false => Err(Invalid::new("invalid_colour", "must have 3 to 20 lower-case letters")),
        }
    }
}

/// Creates the user and the customer in one transaction: both or neither.
pub(crate) async fn sign_up(
    State(authy): State<Authy>,
    client: ClientInfo,
    CheckedJson(NewCustomer { user, favourite_colour }): CheckedJson<NewCustomer>,
) -> Result<JsonReply<Created>> {
    let caller = Caller::anonymous(client);
    // Before the transaction, because it hashes the password.
    let registration = authy.users().prepare_registration(&caller, user).await?;

    let mut connection = authy.pool().get().await?;
    let transaction = connection.transaction().await?;
    let registered = authy.within(&transaction).users().register(&caller, &registration).await?;
    let insert = "INSERT INTO shop.customer (public_id, favourite_colour) VALUES ($1, $2)";
    transaction.execute(insert, &[registered.value(), &favourite_colour.0]).await?;
    transaction.commit().await?;
    Ok(JsonReply(Created { public_id: authy.committed(registered) }))
}

/// Exchanges a username and a password for tokens.
pub(crate) async fn log_in(
    State(authy): State<Authy>,
    client: ClientInfo,
    CheckedJson(credentials): CheckedJson<Credentials>,
) -> Result<JsonReply<Tokens>> {
    authy.sessions().login(&Caller::anonymous(client), credentials).await.map(JsonReply)
}

/// The caller's account.
#[derive(Serialize)]
pub(crate) struct Me {
    public_id: UserId,
    level: Level,
    /// None for a user who did not sign up at the shop, but with `POST /authy/user`.
    favourite_colour: Option<String>,
}

/// Returns the caller's account, with any valid token.
pub(crate) async fn me(
    State(authy): State<Authy>,
    RequireLevel(caller): RequireLevel<{ Level::MAX }>,
) -> Result<Json<Me>> {
    let select = "SELECT favourite_colour FROM shop.customer WHERE public_id = $1";
    let row = authy.pool().get().await?.query_opt(select, &[&caller.public_id]).await?;
    let favourite_colour = row.map(|row| row.try_get("favourite_colour")).transpose()?;
    Ok(Json(Me { public_id: caller.public_id, level: caller.level, favourite_colour }))
}
