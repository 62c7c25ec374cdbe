//! Answers for the clients of an earlier system, while they are replaced. Everything that differs is here;
//! docs/poptape.md lists it.

use std::str::FromStr;

use authy_core::{
    ClientInfo, Error, ErrorKind, Result, Secret, UserId,
    api::{
        Endpoint as _, Method, Problem, StatusCode, failure,
        session::{Credentials, Login},
        user::{Created, Register},
    },
    engine::Caller,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures_util::FutureExt as _;
use http::{
    HeaderValue,
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use http_body_util::{Either, Full};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    call::RawCall,
    reply::{self, Response},
    route::Route,
};

/// An earlier system whose clients get the answers that they are used to, where they need them.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// The first authy, in Python with Flask, of the auction platform poptape.
    Poptape,
}

/// A name of no earlier system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be poptape, or be left out")]
pub struct UnknownCompat;

impl FromStr for Compat {
    type Err = UnknownCompat;

    fn from_str(text: &str) -> Result<Self, UnknownCompat> {
        match text {
            "poptape" => Ok(Self::Poptape),
            _ => Err(UnknownCompat),
        }
    }
}

impl Compat {
    /// Returns the routes with the answers of the earlier system.
    pub(crate) fn adapt(self, routes: Vec<Route>) -> Vec<Route> {
        let Self::Poptape = self;
        let adapt = |route: Route| match route.info.name {
            name if name == Login::INFO.name => Route::new::<Login>(|raw| log_in(raw).boxed()),
            name if name == Register::INFO.name => Route::new::<Register>(|raw| register(raw).boxed()),
            _ if route.info.method == Method::POST => route.map(with_object),
            _ => route,
        };
        routes.into_iter().map(adapt).collect()
    }
}

/// Logs in with the password as it was encoded, or as it is. A refusal that would be 403 is 401: the clients know no other.
async fn log_in(raw: RawCall<'_>) -> Result<Response> {
    let call = raw.read::<Login>()?;
    let (sessions, caller) = (call.authy.sessions(), call.caller);
    let Credentials { username, password, .. } = call.request;
    let logged_in = match decoded(password.expose()) {
        // The decoded form is what the earlier system hashed, and what a sign-up below hashes.
        Some(decoded) => {
            sessions.login_with_either(caller, Credentials::new(username, Secret::new(decoded)), password).await
        }
        None => sessions.login(caller, Credentials::new(username, password)).await,
    };
    match logged_in {
        Err(error) if matches!(error.kind(), ErrorKind::NotValidated | ErrorKind::NoRole) => {
            Ok(unauthorized(&error, caller.client_info().request_id.as_deref().unwrap_or_default()))
        }
        tokens => Ok(reply::success(&tokens?)?.map(Either::Left)),
    }
}

/// Signs up with a password that may be encoded, and adds an access token to the answer.
async fn register(mut raw: RawCall<'_>) -> Result<Response> {
    for name in ["password", "confirm_password"] {
        raw.fields.decode(name, decoded);
    }
    let call = raw.read::<Register>()?;
    let public_id = call.authy.users().register(call.caller, call.request).await?;
    // In the name of the operator, because the new user has not logged in; for the client that signed up.
    let issuer = Caller::operator(ClientInfo { device_token: None, ..call.caller.client_info().clone() });
    let token = call.authy.sessions().issue_token(&issuer, public_id).await;
    // The user exists whatever happened to the token, and can log in.
    let token = token.inspect_err(|error| tracing::warn!(%error, "a new user got no token")).ok();
    let body = SignedUp { public_id, message: "the account was created", token: token.as_ref().map(Secret::expose) };
    let body = serde_json::to_vec(&body)
        .map_err(|cause| Error::with_source(ErrorKind::Internal, "an answer cannot be written", cause))?;
    let mut response = reply::success(&Created { public_id })?;
    *response.body_mut() = Full::from(body);
    Ok(response.map(Either::Left))
}

/// The answer to a sign-up.
#[derive(Serialize)]
struct SignedUp<'a> {
    public_id: UserId,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

/// Returns a refusal of a login with the status 401 in place of its own. The code stays, for clients that know it.
fn unauthorized(error: &Error, request_id: &str) -> Response {
    failure::log(error, request_id);
    let mut problem = Problem::of(error, request_id);
    problem.status = StatusCode::UNAUTHORIZED.as_u16();
    let mut response = failure::document(&problem).map(Full::from);
    failure::add_headers(error, response.headers_mut());
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response.map(Either::Left)
}

/// Returns a response without a body as one with an empty object: the gateway parses the answer to every POST.
fn with_object(mut response: Response) -> Response {
    if response.status() == StatusCode::NO_CONTENT {
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = Either::Left(Full::from("{}"));
    }
    response
}

/// Returns the text that a password encodes: it is base64 (RFC 4648, section 4) with padding, of at least one character in
/// UTF-8, none of them a control character. Other passwords are taken as they are.
fn decoded(password: &str) -> Option<String> {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(password).ok()?);
    let text = str::from_utf8(&bytes).ok()?;
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_canonical_base64_of_printable_text_is_decoded() {
        assert_eq!(decoded("dGFuZ2VyaW5l").as_deref(), Some("tangerine"));
        assert_eq!(decoded("w7w=").as_deref(), Some("ü"));
        for other in [
            "",
            "tangerine",
            // Without its padding, with another tail, in the alphabet of URLs, and with a space.
            "w7w",
            "w7x=",
            "w7_-",
            "w7w= ",
            " w7w=",
            // A line break, a null, DEL, U+0085; Latin-1; half of a character.
            "YQo=",
            "AA==",
            "fw==",
            "woU=",
            "/A==",
            "ww==",
        ] {
            assert_eq!(decoded(other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn any_printable_text_is_found_in_its_base64(text in "[^\\p{Cc}]{1,40}") {
            prop_assert_eq!(decoded(&BASE64_STANDARD.encode(&text)), Some(text));
        }

        #[test]
        fn what_is_decoded_encodes_to_the_password(password in "\\PC*|([A-Za-z0-9+/]{4}){0,6}([A-Za-z0-9+/]{2}==)?") {
            if let Some(text) = decoded(&password) {
                prop_assert_eq!(BASE64_STANDARD.encode(text), password);
            }
        }
    }
}
