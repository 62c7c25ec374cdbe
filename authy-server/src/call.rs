//! What a handler sees of a request: one call of one endpoint, its parameters and fields already checked.

use authy_core::{
    Authy, Error, ErrorKind, Identity, Result,
    api::{Endpoint, Fields, PathError, PathParams as _, Request as _},
    engine::Caller,
};
use http::HeaderMap;

use crate::stream::Streams;

/// One call of an endpoint.
pub(crate) struct Call<'a, E: Endpoint> {
    /// The engine that does what is asked.
    pub(crate) authy: &'a Authy,
    /// Who asks, and from where.
    pub(crate) caller: &'a Caller,
    /// The parameters in the path.
    pub(crate) path: E::Path,
    /// What was sent.
    pub(crate) request: E::Request,
}

/// A call whose endpoint is not known to the compiler: the parameters and fields are still text and JSON.
pub(crate) struct Asked<'a> {
    /// The engine that does what is asked.
    pub(crate) authy: &'a Authy,
    /// Who asks, and from where.
    pub(crate) caller: &'a Caller,
    /// Whether only the head of the answer is wanted.
    pub(crate) is_head: bool,
    /// The parameters in the path, decoded, each with its name.
    pub(crate) segments: &'a [(&'a str, String)],
    /// What was sent.
    pub(crate) fields: Fields,
    /// The headers of the request, for the few that mean something here.
    pub(crate) headers: &'a HeaderMap,
    /// Where a stream is opened.
    pub(crate) streams: &'a Streams,
}

impl<'a> Asked<'a> {
    /// Reads parameters and fields as the endpoint declares them.
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
    /// Whose token came with the call.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] when the endpoint is public and so nobody looked for a token.
    pub(crate) fn identity(&self) -> Result<&'a Identity> {
        let identity = self.caller.identity();
        identity.ok_or_else(|| Error::new(ErrorKind::TokenRequired, "this endpoint needs a token"))
    }
}
