//! The wire: one row per endpoint, and what the rows are made of.
//!
//! From a row come the server's route, the client's call, the OpenAPI document, the list at `/authy`, and the tests that
//! cover every endpoint. Nothing about an endpoint is written twice.

use std::borrow::Cow;

use http::HeaderValue;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Access, ErrorKind, Result, Schema};

pub mod account;
pub mod event;
mod field;
pub mod message;
pub mod page;
mod path;
mod problem;
pub mod role;
pub mod session;
pub mod system;
mod token;
pub mod user;
mod vocabulary;

pub use field::{Field, Fields, MAX_FIELDS};
pub use http::{Method, StatusCode};
pub use path::{ParamVisitor, PathError, PathParam, PathParams};
pub use problem::{Problem, challenge, status};
pub use token::access_token;

/// One thing a caller can ask for.
pub trait Endpoint: Send + Sync + 'static {
    /// The parameters in the path, in order.
    type Path: PathParams;
    /// What the caller sends: a JSON object in the body, or the query of a GET or DELETE.
    type Request: Request;
    /// What the caller gets when all is well.
    type Response: Reply;

    /// What there is to know about the endpoint without its types.
    const INFO: Info;
}

/// What there is to know about an endpoint without its types.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its name, which is its `operationId`.
    pub name: &'static str,
    /// What it is about: `session`, `user`, `account`, `role`, `event` or `system`.
    pub subject: &'static str,
    /// What it does; the first line is the summary.
    pub doc: &'static str,
    /// The method it answers.
    pub method: Method,
    /// The path, parameters in braces.
    pub path: &'static str,
    /// Who may call.
    pub access: Access,
    /// Which limit of requests an address has here.
    pub limit: RateClass,
    /// The names of the fields of its request; empty when it takes none.
    pub fields: &'static [&'static str],
    /// Whether a browser (`Accept: text/html`) gets a page, and may send a form in place of JSON.
    pub has_page: bool,
    /// The errors of its own, besides those that every endpoint of its access can answer.
    pub errors: &'static [ErrorKind],
}

/// The limit of requests an address has; each has an allowance of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateClass {
    /// Attempts to log in.
    Login,
    /// Sign-ups.
    Register,
    /// Presenting a one-time code, or asking for another.
    Validate,
    /// Asking for a mail that resets a password.
    Forgot,
    /// Everything that has no class of its own.
    Default,
    /// Not limited: what sibling services call on every request.
    Exempt,
}

/// What a caller sends.
pub trait Request: Serialize + Schema + Clone + Send + Sync + 'static {
    /// The names of the fields.
    const FIELDS: &'static [&'static str];

    /// Reads all fields, and reports every wrong one at once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`], or the kind of the only wrong field.
    fn from_fields(fields: Fields) -> Result<Self>;
}

/// What a caller gets.
pub trait Reply: Serialize + DeserializeOwned + Schema + Send + Sync + 'static {
    /// The status of success.
    const STATUS: u16 = 200;

    /// What may be kept of it and how long. Most answers hold personal data, so the default is nothing.
    const CACHE: &'static str = "no-store";

    /// The same of this very answer.
    fn cache(&self) -> Cow<'static, str> {
        Self::CACHE.into()
    }

    /// The answer as it came with this `Cache-Control`.
    #[must_use]
    fn cached(self, _: Option<&HeaderValue>) -> Self {
        self
    }

    /// Where the thing that was made can be found.
    fn location(&self) -> Option<String> {
        None
    }
}

wire! {
    /// No fields: of a request, an empty object or no body; of an answer, no body.
    #[derive(Copy, Default)]
    pub struct Nothing {}
}

impl Request for Nothing {
    const FIELDS: &'static [&'static str] = &[];

    fn from_fields(fields: Fields) -> Result<Self> {
        fields.finish()?;
        Ok(Nothing {})
    }
}

impl Reply for Nothing {
    const STATUS: u16 = 204;
}

/// Something that is done for every endpoint and needs its types.
pub trait Visitor {
    /// Does it for one.
    fn visit<E: Endpoint>(&mut self);
}

/// Shows a visitor every endpoint there is, in the order of the documentation.
pub fn visit(visitor: &mut impl Visitor) {
    session::visit(visitor);
    user::visit(visitor);
    account::visit(visitor);
    role::visit(visitor);
    event::visit(visitor);
    system::visit(visitor);
}

/// Every endpoint there is, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Info> {
    [session::ENDPOINTS, user::ENDPOINTS, account::ENDPOINTS, role::ENDPOINTS, event::ENDPOINTS, system::ENDPOINTS]
        .into_iter()
        .flatten()
}

/// Declares endpoints, a row each:
/// `Name: METHOD "path" (PathParam, …) Request => Response, access[, rate class] [; also page] [; fails Kind | Kind]`.
macro_rules! endpoints {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $method:ident $path:literal ($($param:ty),*) $request:ty => $response:ty,
        $access:expr $(, $limit:ident)? $(; also $page:ident)? $(; fails $($kind:ident)|+)?;
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
                    has_page: $crate::api::endpoints!(@page $($page)?),
                    errors: &[$($($crate::ErrorKind::$kind),+)?],
                };
            }
        )+

        /// The endpoints of this module.
        pub const ENDPOINTS: &[$crate::api::Info] = &[$(<$name as $crate::api::Endpoint>::INFO),+];

        /// Shows a visitor the endpoints of this module.
        pub(super) fn visit(visitor: &mut impl $crate::api::Visitor) {
            $(visitor.visit::<$name>();)+
        }
    };
    (@page) => { false };
    (@page page) => { true };
    (@limit) => { $crate::api::RateClass::Default };
    (@limit $limit:ident) => { $crate::api::RateClass::$limit };
}

/// Declares what a caller sends: a struct whose fields are checked types, read all at once.
///
/// A `check` sees the fields it names as `Option`s (a wrong field is `None`) and returns what is wrong between them.
macro_rules! requests {
    ($(
        $(#[doc = $doc:literal])+
        pub struct $name:ident {
            $( $(#[$attribute:meta])+ pub $field:ident: $type:ty, )+
        }
        $(check $($seen:ident),+ => $check:expr;)?
    )+) => { $(
        sent! {
            $(#[doc = $doc])+
            pub struct $name { $( $(#[$attribute])+ pub $field: $type, )+ }
        }

        impl $crate::api::Request for $name {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),+];

            fn from_fields(mut fields: $crate::api::Fields) -> $crate::Result<Self> {
                $( let $field: Option<$type> = fields.take(stringify!($field)); )+
                $( fields.also($check($($seen.as_ref()),+)); )?
                fields.finish()?;
                match ($($field,)+) {
                    ($(Some($field),)+) => Ok(Self { $($field),+ }),
                    // A field that was not taken has been reported, so `finish` has failed above.
                    _ => Err($crate::Error::new($crate::ErrorKind::Internal, "a wrong field was not reported")),
                }
            }
        }
    )+ };
}

pub(crate) use {endpoints, requests};
