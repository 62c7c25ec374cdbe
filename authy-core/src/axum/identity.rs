//! Extracts the caller of a request.

use std::ops::Deref;

use ::axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};

use super::Rejection;
use crate::{
    Error, ErrorKind, Identity, Level, Result,
    tower::{RequireAuth, insufficient_level},
};

/// The caller that the layer [`RequireAuth`] has authenticated. Without the layer every request is refused, with
/// [`ErrorKind::Internal`] and a line in the log.
impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let missing =
            || Error::new(ErrorKind::Internal, "the route has no RequireAuth layer, and its handler needs one");
        parts.extensions.get::<Identity>().cloned().ok_or_else(|| Rejection::new(missing(), parts))
    }
}

/// A caller with this level or a smaller one: a smaller level is more power. `RequireLevel<{ Level::MAX }>` is any
/// caller with a valid token, unless the caller's role has a larger level from an earlier system.
///
/// It takes the caller from the layer [`RequireAuth`] where there is one, and otherwise authenticates the request with
/// the `RequireAuth` of the router's state, whose level and role are required as well. So a route without a layer lets
/// nobody in:
///
/// ```
/// use authy_core::{axum::RequireLevel, tower::RequireAuth};
/// use axum::{Router, extract::FromRef, routing::get};
///
/// #[derive(Clone)]
/// struct Shop {
///     guard: RequireAuth, // RequireAuth::new(authy)
///     currency: &'static str,
/// }
///
/// impl FromRef<Shop> for RequireAuth {
///     fn from_ref(shop: &Shop) -> Self {
///         shop.guard.clone()
///     }
/// }
///
/// async fn bids(caller: RequireLevel<10>) -> String {
///     format!("no bids yet, {}", caller.public_id)
/// }
///
/// # fn app(shop: Shop) -> Router {
/// Router::new().route("/bids", get(bids)).with_state(shop)
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RequireLevel<const LEVEL: u32>(pub Identity);

impl<const LEVEL: u32> Deref for RequireLevel<LEVEL> {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

impl<S, const LEVEL: u32> FromRequestParts<S> for RequireLevel<LEVEL>
where
    S: Send + Sync,
    RequireAuth: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        const { assert!(LEVEL <= Level::MAX, "a level is at most 99999") };
        let caller = authorized(parts, &RequireAuth::from_ref(state), Level::clamped(LEVEL)).await;
        caller.map(Self).map_err(|error| Rejection::new(error, parts))
    }
}

async fn authorized(parts: &Parts, guard: &RequireAuth, level: Level) -> Result<Identity> {
    let caller = match parts.extensions.get::<Identity>() {
        Some(authenticated) => authenticated.clone(),
        None => guard.authenticate(&parts.headers).await?,
    };
    guard.permit(&caller)?;
    if caller.at_least(level) { Ok(caller) } else { Err(insufficient_level()) }
}
