//! The wire: one row per endpoint, and the traits that the rows use.
//!
//! The server's routes, the client's calls, the OpenAPI document, the list at `/authy` and the tests that cover every
//! endpoint are generated from the rows. No fact about an endpoint is written twice.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Access, ErrorKind, Schema};

pub mod account;
pub mod body;
pub mod event;
pub mod failure;
mod field;
pub mod forward_auth;
pub mod message;
pub mod page;
mod path;
mod problem;
pub mod role;
pub mod session;
pub mod success;
pub mod system;
mod token;
pub mod user;
mod vocabulary;

pub use field::{Field, Fields, FromFields, MAX_FIELDS};
pub use http::{Method, StatusCode};
pub use path::{ParamVisitor, PathError, PathParam, PathParams};
pub use problem::{Problem, RECENT_LOGIN, challenge, status};
pub use token::access_token;

/// An endpoint: its types and its description.
pub trait Endpoint: Send + Sync + 'static {
    /// The parameters in the path, in order.
    type Path: PathParams;
    /// The fields of the request: a JSON object in the body, or the query of a GET or DELETE.
    type Request: Request;
    /// The response in case of success.
    type Response: Reply;

    /// The description of the endpoint without its types.
    const INFO: Info;
}

/// The description of an endpoint without its types.
#[derive(Clone, Debug)]
pub struct Info {
    /// The name, which is also the `operationId`.
    pub name: &'static str,
    /// The subject: `session`, `user`, `account`, `role`, `event` or `system`.
    pub subject: &'static str,
    /// The documentation. Its first line is the summary.
    pub doc: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The access rule.
    pub access: Access,
    /// The rate limit that applies to the endpoint.
    pub limit: RateClass,
    /// The names of the request's fields; empty when it has none.
    pub fields: &'static [&'static str],
    /// Whether a browser (`Accept: text/html`) gets a page, and can send a form instead of JSON.
    pub has_page: bool,
    /// Whether every other method is answered as this one: a proxy that asks about a request may pass on its method.
    pub any_method: bool,
    /// The errors of this endpoint, in addition to those that its access rule implies.
    pub errors: &'static [ErrorKind],
}

impl Info {
    /// Returns whether the fields of the request are in its body. Those of a GET or DELETE are in the query.
    pub fn has_body(&self) -> bool {
        self.method != Method::GET && self.method != Method::DELETE
    }
}

/// A class of rate limits. Each remote address has a separate allowance per class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateClass {
    /// Logins.
    Login,
    /// Sign-ups.
    Register,
    /// Submitting a one-time code, or requesting another one.
    Validate,
    /// Requests for a password reset mail.
    Forgot,
    /// All endpoints without a class of their own.
    Default,
    /// No limit: other services call these endpoints on every request.
    Exempt,
}

/// A request type of an endpoint.
pub trait Request: FromFields + Serialize + Schema + Clone + Send + Sync + 'static {
    /// The names of the fields.
    const FIELDS: &'static [&'static str];
}

/// A response type.
pub trait Reply: Serialize + DeserializeOwned + Schema + Send + Sync + 'static {
    /// The status code of success.
    const STATUS: u16 = 200;

    /// The `Cache-Control` of the response. Most responses contain personal data, so the default forbids caching.
    const CACHE: &'static str = "no-store";

    /// Returns the `Cache-Control` of this response.
    fn cache(&self) -> Cow<'static, str> {
        Self::CACHE.into()
    }

    /// Returns the response with the `Cache-Control` that it was received with.
    #[must_use]
    fn cached(self, _: Option<&HeaderValue>) -> Self {
        self
    }

    /// Adds the headers that are special to this response.
    fn add_headers(&self, _: &mut HeaderMap) {}

    /// Returns the URL of the created resource, for the header `Location`.
    fn location(&self) -> Option<String> {
        None
    }
}

wire! {
    /// No fields. In a request: an empty object or no body. In a response: no body.
    #[derive(Copy, Default)]
    pub struct Nothing {}
}

impl FromFields for Nothing {
    fn take_from(_: &mut Fields) -> Option<Self> {
        Some(Self {})
    }
}

impl Request for Nothing {
    const FIELDS: &'static [&'static str] = &[];
}

impl Reply for Nothing {
    const STATUS: u16 = 204;
}

/// An operation on every endpoint that needs the endpoint's types.
pub trait Visitor {
    /// Performs the operation for one endpoint.
    fn visit<E: Endpoint>(&mut self);
}

/// Visits every endpoint, in the order of the documentation.
pub fn visit(visitor: &mut impl Visitor) {
    session::visit(visitor);
    user::visit(visitor);
    account::visit(visitor);
    role::visit(visitor);
    event::visit(visitor);
    system::visit(visitor);
}

/// Returns every endpoint, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Info> {
    [session::ENDPOINTS, user::ENDPOINTS, account::ENDPOINTS, role::ENDPOINTS, event::ENDPOINTS, system::ENDPOINTS]
        .into_iter()
        .flatten()
}

/// Declares endpoints, one row each:
/// `Name: METHOD "path" (PathParam, …) Request => Response, access[, rate class] [; also page] [; any method]
/// [; fails Kind | Kind]`.
macro_rules! endpoints {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $method:ident $path:literal ($($param:ty),*) $request:ty => $response:ty,
        $access:expr $(, $limit:ident)? $(; also $page:ident)? $(; any $any:ident)? $(; fails $($kind:ident)|+)?;
    )+) => {
        $(
            $(#[doc = $doc])+
            #[doc = concat!("\n`", stringify!($method), " ", $path, "`")]
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl $crate::api::Endpoint for $name {
                type Path = ($($param,)*);
                type Request = $request;
                type Response = $response;

                const INFO: $crate::api::Info = $crate::api::Info {
                    name: stringify!($name),
                    subject: SUBJECT,
                    doc: concat!($($doc, "\n"),+),
                    method: $crate::api::Method::$method,
                    path: $path,
                    access: $access,
                    limit: $crate::api::endpoints!(@limit $($limit)?),
                    fields: <$request as $crate::api::Request>::FIELDS,
                    has_page: $crate::api::endpoints!(@flag $($page)?),
                    any_method: $crate::api::endpoints!(@flag $($any)?),
                    errors: &[$($($crate::ErrorKind::$kind),+)?],
                };
            }
        )+

        /// The endpoints of this module.
        pub const ENDPOINTS: &[$crate::api::Info] = &[$(<$name as $crate::api::Endpoint>::INFO),+];

        /// Visits the endpoints of this module.
        pub(super) fn visit(visitor: &mut impl $crate::api::Visitor) {
            $(visitor.visit::<$name>();)+
        }
    };
    (@flag) => { false };
    (@flag $flag:ident) => { true };
    (@limit) => { $crate::api::RateClass::Default };
    (@limit $limit:ident) => { $crate::api::RateClass::$limit };
}

/// Declares request types: structs whose fields are checked types, all read at once, also by serde.
///
/// A `check` gets the fields that it lists as `Option`s (`None` for an invalid field) and returns an error about their
/// combination. A field that is read differently from others of its type names the function that reads it (`=>`).
macro_rules! requests {
    ($(
        $(#[$meta:meta])+
        pub struct $name:ident {
            $( $(#[$attribute:meta])+ pub $field:ident: $type:ty $(=> $read:path)?, )+
        }
        $(check $($seen:ident),+ => $check:expr;)?
    )+) => { $(
        sent! {
            $(#[$meta])+
            pub struct $name { $( $(#[$attribute])+ pub $field: $type, )+ }
        }

        /// With the same checks as [`FromFields::from_fields`]($crate::api::FromFields::from_fields). The message names
        /// every invalid field.
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::api::field::deserialize(deserializer)
            }
        }

        impl $crate::api::FromFields for $name {
            fn take_from(fields: &mut $crate::api::Fields) -> Option<Self> {
                $( let $field: Option<$type> = $crate::api::requests!(@take fields $field $($read)?); )+
                $( fields.also($check($($seen.as_ref()),+)); )?
                Some(Self { $($field: $field?),+ })
            }
        }

        impl $crate::api::Request for $name {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),+];
        }
    )+ };
    (@take $fields:ident $field:ident) => { $fields.take(stringify!($field)) };
    (@take $fields:ident $field:ident $read:path) => { $read($fields, stringify!($field)) };
}

pub(crate) use {endpoints, requests};
