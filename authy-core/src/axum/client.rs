//! Extracts the client that sent a request.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use ::axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::request::Parts,
};

use super::Rejection;
use crate::{ClientInfo, Error, ErrorKind, Result, client_info::TrustedProxies};

/// Trusts no proxy. One for all requests, because it warns once.
static NONE: LazyLock<TrustedProxies> = LazyLock::new(TrustedProxies::default);

/// The client of the request. Addresses that a proxy forwards count when the router has the layer
/// `Extension(Arc::new(TrustedProxies::new(…)))`, which names the proxy; otherwise none does.
///
/// The address of the connection is that of axum's [`ConnectInfo`]: serve the router with
/// `into_make_service_with_connect_info::<SocketAddr>()`. Otherwise every request is refused, with
/// [`ErrorKind::Internal`] and a line in the log.
impl<S: Send + Sync> FromRequestParts<S> for ClientInfo {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(parts, state).await;
        let Ok(ConnectInfo(peer)) = peer else {
            let missing = "the address of the client is not known: serve with into_make_service_with_connect_info";
            return Err(Rejection::new(Error::new(ErrorKind::Internal, missing), parts));
        };
        let proxies = parts.extensions.get::<Arc<TrustedProxies>>().map_or(&*NONE, |proxies| proxies);
        Ok(ClientInfo::from_request(&parts.headers, peer.ip(), proxies))
    }
}
