//! A shop on axum that embeds authy on its own PostgreSQL. Customers sign up with a favourite colour and place orders,
//! and administrators list all orders.
//!
//! It needs a database, whose owner it connects as, and a master key:
//!
//! ```sh
//! createdb shop
//! (umask 077; openssl rand -base64 32 > master.key)
//! DATABASE_URL="host=localhost user=$USER dbname=shop" cargo run -p authy-example-shop
//! ```
//!
//! The first start prints the name and the password of an administrator. Then, in another terminal:
//!
//! ```sh
//! JSON='content-type: application/json'
//! curl -sS http://127.0.0.1:3000/signup -H "$JSON" -d '{"username": "ada", "email": "ada@example.org",
//!   "password": "difference-engine-no-2", "confirm_password": "difference-engine-no-2", "favourite_colour": "teal"}'
//! TOKEN=$(curl -sS http://127.0.0.1:3000/login -H "$JSON" \
//!   -d '{"username": "ada", "password": "difference-engine-no-2"}' | sed -E 's/.*"token":"([^"]*)".*/\1/')
//! curl -sS http://127.0.0.1:3000/me -H "authorization: Bearer $TOKEN"
//! curl -sS http://127.0.0.1:3000/orders -H "authorization: Bearer $TOKEN" -H "$JSON" -d '{"item": "teapot"}'
//! ls mail                                                 # the mail that asks Ada to confirm her address
//! ```
//!
//! | endpoint | who | |
//! |---|---|---|
//! | `POST /signup` | anybody | creates the user and the customer in one transaction |
//! | `POST /login` | anybody | returns tokens; limited per address |
//! | `GET /me` | any valid token | returns the caller's account |
//! | `POST /orders` | level 10 or more power | places an order |
//! | `GET /orders` | level 5 or more power | lists the orders of all customers |
//! | `/authy/…` | | the whole API of authy: refresh, logout, roles, the links in mails |
//!
//! Errors are problem documents (RFC 9457), authy's and the shop's alike. Control-C stops the shop when the requests under
//! way have been answered.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `DATABASE_URL` | | the database |
//! | `SHOP_MASTER_KEY_FILE` | `master.key` | the file of the master key, which no other user may read |
//! | `SHOP_LISTEN` | `127.0.0.1:3000` | where to listen |
//! | `SHOP_URL` | `http://` and the address | where browsers reach the shop |
//! | `SHOP_SMTP_URL` | | the mail server; without it, mails are files in the folder `mail` |
//! | `SHOP_MAIL_FROM` | | the sender of mails, such as `Shop <no-reply@shop.example>`; required with a mail server |

mod customer;
mod limit;
mod order;

use std::error::Error as StdError;

use authy_core::{
    Authy, Error, ErrorKind,
    api::RateClass,
    axum::assign_request_id,
    engine::{Config, MasterKeys, tokio_postgres},
    tower::RequireAuth,
};
use authy_server::{AuthyService, sink::Mails};
use axum::{
    Router,
    extract::FromRef,
    http::{HeaderValue, header::CACHE_CONTROL},
    middleware,
    response::Response,
    routing::{get, post},
};

/// Maximum number of the shop's own transactions at a time.
const TRANSACTIONS: usize = 8;

/// What the handlers share.
#[derive(Clone)]
struct Shop {
    authy: Authy,
    guard: RequireAuth,
}

impl FromRef<Shop> for Authy {
    fn from_ref(shop: &Shop) -> Self {
        shop.authy.clone()
    }
}

impl FromRef<Shop> for RequireAuth {
    fn from_ref(shop: &Shop) -> Self {
        shop.guard.clone()
    }
}

/// Starts authy on the database of the shop, and creates the shop's tables. `url` is where browsers reach the shop.
///
/// # Errors
/// When the database is not available, or the master key is not the one that encrypted its keys.
pub async fn start(
    database: tokio_postgres::Config,
    keys: MasterKeys,
    url: String,
    mails: Mails,
) -> Result<Authy, Box<dyn StdError + Send + Sync>> {
    let defaults = Config::default();
    // The shop's transactions run on the connections of the engine, which shall not have to wait for them.
    let config = Config { connections: defaults.connections + TRANSACTIONS, ..defaults };
    let authy = Authy::builder(database)
        .master_keys(keys)
        .config(config)
        .default_issuer(url)
        .sink_with(|authy| Ok(mails.sink(authy)))
        .start()
        .await?;
    authy.pool().get().await?.batch_execute(include_str!("schema.sql")).await?;
    Ok(authy)
}

/// Returns the paths of the shop, and the API of authy for all others.
pub fn router(authy: Authy, api: AuthyService) -> Router {
    let limited = |class| middleware::from_fn_with_state((api.clone(), class), limit::check);
    Router::new()
        .route("/signup", post(customer::sign_up).layer(limited(RateClass::Register)))
        .route("/login", post(customer::log_in).layer(limited(RateClass::Login)))
        .route("/me", get(customer::me))
        .route("/orders", get(order::list).post(order::place))
        .method_not_allowed_fallback(async || Error::new(ErrorKind::MethodNotAllowed, "this path has other methods"))
        .layer(middleware::map_response(no_store))
        .with_state(Shop { guard: RequireAuth::new(authy.clone()), authy })
        .fallback_service(api)
        .layer(middleware::from_fn(assign_request_id))
}

/// Forbids caches to keep an answer: each has a token or personal data.
async fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
