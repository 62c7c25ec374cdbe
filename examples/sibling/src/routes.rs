//! The endpoints, and who may call them.

use authy_client::{
    Authenticator, Client, ClientInfo, ErrorKind, Level, RequireAuth, RoleName, Username,
    api::session::Credentials,
    authy_core::Error,
    axum::{CheckedJson, RequireLevel},
};
use axum::{
    Json, Router,
    extract::{FromRef, Path, State},
    http::{StatusCode, header::CACHE_CONTROL},
    response::IntoResponse,
    routing::{delete, get, post},
};
use serde::Serialize;

use crate::bids::{Bid, Bids, NewBid};

/// What the handlers share.
#[derive(Clone)]
pub struct Service {
    /// Authenticates the callers.
    pub guard: RequireAuth,
    /// The client of authy, without a token.
    pub authy: Client,
    /// All bids.
    pub bids: Bids,
    auctioneer: RoleName,
}

impl Service {
    /// Creates the service. In production the authenticator is a [`LocalVerifier`](authy_client::LocalVerifier).
    ///
    /// # Errors
    /// When the name of the role is none.
    pub fn new(authenticator: impl Authenticator + 'static, authy: Client) -> Result<Self, authy_client::Invalid> {
        let guard = RequireAuth::new(authenticator);
        Ok(Self { guard, authy, bids: Bids::default(), auctioneer: "auctioneer".parse()? })
    }

    /// Returns the routes of the service.
    pub fn into_router(self) -> Router {
        Router::new()
            .route("/login", post(log_in))
            .route("/bids", post(make_bid))
            .route("/bids", get(list_bids))
            .route("/bids/{id}", delete(remove_bid))
            .with_state(self)
    }
}

/// For [`RequireLevel`], which needs no layer.
impl FromRef<Service> for RequireAuth {
    fn from_ref(service: &Service) -> Self {
        service.guard.clone()
    }
}

/// A caller with any valid token.
type AnyCaller = RequireLevel<{ Level::MAX }>;

/// The bids, for one of their readers.
#[derive(Debug, Serialize)]
struct BidList {
    caller: Username,
    bids: Vec<Bid>,
}

/// The error is the user's: a wrong password or too many attempts, for example. It is passed on as it is.
async fn log_in(
    State(service): State<Service>,
    browser: ClientInfo,
    CheckedJson(credentials): CheckedJson<Credentials>,
) -> Result<impl IntoResponse, authy_client::Error> {
    let tokens = service.authy.on_behalf_of(browser).login(credentials).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(tokens)))
}

async fn make_bid(
    State(service): State<Service>,
    caller: RequireLevel<10>,
    Json(bid): Json<NewBid>,
) -> (StatusCode, Json<Bid>) {
    (StatusCode::CREATED, Json(service.bids.add(caller.public_id, bid)))
}

async fn list_bids(
    State(service): State<Service>,
    RequireLevel(caller): AnyCaller,
) -> Result<Json<BidList>, authy_client::Error> {
    let name = match caller.username {
        Some(name) => name,
        // It did not fit into the token.
        None => service.authy.get_username(caller.public_id).await?.username,
    };
    Ok(Json(BidList { caller: name, bids: service.bids.list() }))
}

async fn remove_bid(
    State(service): State<Service>,
    caller: AnyCaller,
    Path(id): Path<u64>,
) -> Result<StatusCode, Error> {
    // A level or a role: `RequireAuth` requires both when it has both.
    if !caller.at_least(Level::clamped(5)) && !caller.has_role(&service.auctioneer) {
        return Err(Error::new(ErrorKind::InsufficientLevel, "only auctioneers and administrators remove bids"));
    }
    match service.bids.remove(id) {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(Error::new(ErrorKind::NotFound, "there is no bid with this number")),
    }
}
