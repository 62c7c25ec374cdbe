//! Rate limits per client address.

use authy_core::{ClientInfo, Error, ErrorKind, Result, api::RateClass};
use authy_server::AuthyService;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

/// Counts a request before its body is read, together with those of authy's own endpoints of the class. Refuses it with
/// 429 when its address has sent too many.
pub(crate) async fn check(
    State((api, class)): State<(AuthyService, RateClass)>,
    client: ClientInfo,
    request: Request,
    next: Next,
) -> Result<Response> {
    let address = client.ip.ok_or(Error::new(ErrorKind::Internal, "the address of the client is not known"))?;
    api.limiter().check(class, address)?;
    Ok(next.run(request).await)
}
