//! Extracts requests whose fields are checked.

use ::axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, request::Parts},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Rejection;
use crate::{
    Error, ErrorKind, Result,
    api::{Fields, FromFields, body},
};

/// A request from a JSON body of at most 64 KiB. Refuses a body with invalid fields with all of them, as `fields` of the
/// problem document. For the requests of [`api`](crate::api); for types of your own there is [`Json`](https://docs.rs/axum/latest/axum/struct.Json.html).
///
/// ```
/// use authy_core::{api::user::NewUser, axum::CheckedJson};
///
/// async fn sign_up(CheckedJson(user): CheckedJson<NewUser>) -> String {
///     format!("hello, {}", user.username)
/// }
/// ```
///
/// A request of your own implements [`FromFields`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckedJson<T>(pub T);

/// A request from the query of the URL. Refuses a query with invalid fields with all of them, as `fields` of the problem
/// document.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckedQuery<T>(pub T);

impl<T: FromFields, S: Send + Sync> FromRequest<S> for CheckedJson<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Rejection> {
        let (parts, body) = request.into_parts();
        let refused = |error| Rejection::new(error, &parts);
        let body = read(&parts.headers, body).await.map_err(refused)?;
        let fields = match body.is_empty() {
            true => Fields::none(),
            false => Fields::from_json(&body)
                .map_err(|why| Rejection { message: Some(why.to_string()), ..refused(body::malformed()) })?,
        };
        T::from_fields(fields).map(Self).map_err(refused)
    }
}

/// Reads a body; an empty one needs no type.
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    body::require_json(headers)?;
    match Limited::new(body, body::MAX_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(cause) if cause.is::<LengthLimitError>() => Err(body::too_large()),
        Err(_) => Err(Error::new(ErrorKind::MalformedRequest, "the body ended early or is not well-formed")),
    }
}

impl<T: FromFields, S: Send + Sync> FromRequestParts<S> for CheckedQuery<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let read = Fields::parse_query(parts.uri.query().unwrap_or_default()).and_then(T::from_fields);
        read.map(Self).map_err(|error| Rejection::new(error, parts))
    }
}
