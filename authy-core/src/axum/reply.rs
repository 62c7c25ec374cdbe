//! Responds with the types of authy's API.

use ::axum::{
    body::Body,
    response::{IntoResponse, Response},
};

use crate::api::{Reply, success};

/// A response of authy's API, with the status and the headers that authy's own server gives it: 201 and `Location` for a
/// new user, and `Cache-Control: no-store` for tokens and personal data (RFC 6749, section 5.1).
///
/// ```
/// use authy_core::{
///     Authy, ClientInfo, Result,
///     api::session::{Credentials, Tokens},
///     axum::{CheckedJson, JsonReply},
///     engine::Caller,
/// };
/// use axum::extract::State;
///
/// async fn log_in(
///     State(authy): State<Authy>,
///     client: ClientInfo,
///     CheckedJson(credentials): CheckedJson<Credentials>,
/// ) -> Result<JsonReply<Tokens>> {
///     authy.sessions().login(&Caller::anonymous(client), credentials).await.map(JsonReply)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonReply<T>(pub T);

impl<T: Reply> IntoResponse for JsonReply<T> {
    fn into_response(self) -> Response {
        match success::response(&self.0) {
            Ok(response) => response.map(Body::from),
            Err(error) => error.into_response(),
        }
    }
}
