//! Calls: what a handler gets of a request.

use authy_core::{
    Authy, Error, ErrorKind, Identity, Result,
    api::{Endpoint, Fields, FromFields as _, PathError, PathParams as _},
    engine::Caller,
};
use http::HeaderMap;

use crate::stream::Streams;

/// A call of an endpoint, with parsed parameters and fields.
pub(crate) struct Call<'a, E: Endpoint> {
    /// The engine.
    pub(crate) authy: &'a Authy,
    /// The caller, and the client that it uses.
    pub(crate) caller: &'a Caller,
    /// The parameters in the path.
    pub(crate) path: E::Path,
    /// The fields of the query or the body.
    pub(crate) request: E::Request,
}

/// A call before its parameters and fields are parsed: they are still text and JSON.
pub(crate) struct RawCall<'a> {
    /// The engine.
    pub(crate) authy: &'a Authy,
    /// The caller, and the client that it uses.
    pub(crate) caller: &'a Caller,
    /// Whether only the head of the answer is sent.
    pub(crate) is_head: bool,
    /// Whether the client has shown a certificate of an authority for clients.
    pub(crate) is_certified: bool,
    /// The parameters in the path, decoded, each with its name.
    pub(crate) segments: &'a [(&'a str, String)],
    /// The fields of the query or the body.
    pub(crate) fields: Fields,
    /// The headers of the request, for handlers that negotiate the form of the answer.
    pub(crate) headers: &'a HeaderMap,
    /// The open event streams.
    pub(crate) streams: &'a Streams,
}

impl<'a> RawCall<'a> {
    /// Parses parameters and fields as the endpoint declares them.
    pub(crate) fn read<E: Endpoint>(self) -> Result<Call<'a, E>> {
        let Self { authy, caller, segments, fields, .. } = self;
        let path = E::Path::parse(segments).map_err(|wrong| match wrong {
            PathError::NotFound => Error::new(ErrorKind::NotFound, "nothing has this name"),
            PathError::Invalid(field) => Error::invalid(vec![field]),
        })?;
        Ok(Call { authy, caller, path, request: E::Request::from_fields(fields)? })
    }
}

impl<'a, E: Endpoint> Call<'a, E> {
    /// Returns the owner of the token of the call.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] when the endpoint is public: then no token is read.
    pub(crate) fn identity(&self) -> Result<&'a Identity> {
        let identity = self.caller.identity();
        identity.ok_or_else(|| Error::new(ErrorKind::TokenRequired, "this endpoint needs a token"))
    }
}
