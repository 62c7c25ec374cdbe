//! Orders: customers place them, and administrators list those of all customers.

use authy_core::{
    Authy, Invalid, Result, UserId,
    api::{Field, Fields, FromFields},
    axum::{CheckedJson, RequireLevel},
};
use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;

/// An order that is not placed yet.
pub(crate) struct NewOrder {
    item: Item,
}

impl FromFields for NewOrder {
    fn take_from(fields: &mut Fields) -> Option<Self> {
        Some(Self { item: fields.take("item")? })
    }
}

/// The name of what is ordered: 1 to 100 characters.
struct Item(String);

impl Field for Item {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        match text.chars().count() {
            1..=100 => Ok(Self(text.to_owned())),
            _ => Err(Invalid::new("invalid_item", "must have 1 to 100 characters")),
        }
    }
}

/// A placed order.
#[derive(Serialize)]
pub(crate) struct Order {
    id: i64,
    public_id: UserId,
    item: String,
}

/// Places an order of the caller.
pub(crate) async fn place(
    State(authy): State<Authy>,
    RequireLevel(caller): RequireLevel<10>,
    CheckedJson(NewOrder { item: Item(item) }): CheckedJson<NewOrder>,
) -> Result<(StatusCode, Json<Order>)> {
    let insert = "INSERT INTO shop.order (public_id, item) VALUES ($1, $2) RETURNING id";
    let row = authy.pool().get().await?.query_one(insert, &[&caller.public_id, &item]).await?;
    Ok((StatusCode::CREATED, Json(Order { id: row.try_get("id")?, public_id: caller.public_id, item })))
}

/// Returns the newest 100 orders of all customers.
pub(crate) async fn list(State(authy): State<Authy>, _: RequireLevel<5>) -> Result<Json<Vec<Order>>> {
    let select = "SELECT id, public_id, item FROM shop.order ORDER BY id DESC LIMIT 100";
    let rows = authy.pool().get().await?.query(select, &[]).await?;
    let orders = rows.iter().map(|row| {
        Ok(Order { id: row.try_get("id")?, public_id: row.try_get("public_id")?, item: row.try_get("item")? })
    });
    orders.collect::<Result<_>>().map(Json)
}
