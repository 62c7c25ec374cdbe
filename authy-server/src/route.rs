//! The route table: which endpoint a method and a path lead to.
//!
//! A route is made of an endpoint's row and the handler that answers it; one whose types do not fit does not compile.

use std::{collections::BTreeMap, future::Future, net::Ipv4Addr, sync::OnceLock};

use authy_core::{
    Result,
    api::{Endpoint, Info, Method, Reply, StatusCode},
};
use bytes::Bytes;
use futures_util::{
    Stream,
    future::{BoxFuture, FutureExt as _, ready},
    stream::empty,
};
use http::{HeaderMap, HeaderValue, header::VARY};
use http_body_util::Either;
use percent_encoding::percent_decode_str;

use crate::{
    call::{Asked, Call},
    page::{self, Shown},
    reply::{self, Response, Whole},
    stream,
};

/// An endpoint and what answers it.
pub(crate) struct Route {
    /// The endpoint's row.
    pub(crate) info: &'static Info,
    answer: Box<Answer>,
}

type Answer = dyn for<'a> Fn(Asked<'a>) -> BoxFuture<'a, Result<Response>> + Send + Sync;

impl Route {
    fn new<E: Endpoint>(
        answer: impl for<'a> Fn(Asked<'a>) -> BoxFuture<'a, Result<Response>> + Send + Sync + 'static,
    ) -> Self {
        Self { info: const { &E::INFO }, answer: Box::new(answer) }
    }

    /// Answers a call.
    pub(crate) async fn answer(&self, asked: Asked<'_>) -> Result<Response> {
        (self.answer)(asked).await
    }
}

/// An async function that answers an endpoint.
pub(crate) trait Handler<'a, E: Endpoint>: Copy + Send + Sync + 'static {
    /// What it yields.
    type Answer: Future<Output = Result<E::Response>> + Send + 'a;

    /// Answers a call.
    fn handle(self, call: Call<'a, E>) -> Self::Answer;
}

impl<'a, E: Endpoint, F, A> Handler<'a, E> for F
where
    F: Fn(Call<'a, E>) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<E::Response>> + Send + 'a,
{
    type Answer = A;

    fn handle(self, call: Call<'a, E>) -> A {
        self(call)
    }
}

/// An async function that answers an endpoint with a stream of events, after the event with the given id.
pub(crate) trait Streamer<'a, E: Endpoint>: Copy + Send + Sync + 'static {
    /// The events.
    type Events: Stream<Item = Bytes> + Send + 'static;
    /// What it yields.
    type Answer: Future<Output = Result<Self::Events>> + Send + 'a;

    /// Answers a call.
    fn stream(self, call: Call<'a, E>, last_event_id: Option<&'a str>) -> Self::Answer;
}

impl<'a, E: Endpoint, F, A, S> Streamer<'a, E> for F
where
    F: Fn(Call<'a, E>, Option<&'a str>) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<S>> + Send + 'a,
    S: Stream<Item = Bytes> + Send + 'static,
{
    type Events = S;
    type Answer = A;

    fn stream(self, call: Call<'a, E>, last_event_id: Option<&'a str>) -> A {
        self(call, last_event_id)
    }
}

/// An async function that answers an endpoint with a document in chunks.
pub(crate) trait Chunker<'a, E: Endpoint>: Copy + Send + Sync + 'static {
    /// The chunks.
    type Chunks: Stream<Item = Result<Bytes>> + Send + 'static;
    /// What it yields.
    type Answer: Future<Output = Result<Self::Chunks>> + Send + 'a;

    /// Answers a call.
    fn chunks(self, call: Call<'a, E>) -> Self::Answer;
}

impl<'a, E: Endpoint, F, A, S> Chunker<'a, E> for F
where
    F: Fn(Call<'a, E>) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<S>> + Send + 'a,
    S: Stream<Item = Result<Bytes>> + Send + 'static,
{
    type Chunks = S;
    type Answer = A;

    fn chunks(self, call: Call<'a, E>) -> A {
        self(call)
    }
}

/// Makes a route of an endpoint and its handler.
pub(crate) trait Routed: Endpoint + Sized {
    /// The route to a handler.
    fn to<H: for<'a> Handler<'a, Self>>(handler: H) -> Route {
        Route::new::<Self>(move |asked| {
            async move { Ok(reply::success(&handler.handle(asked.read()?).await?)?.map(Either::Left)) }.boxed()
        })
    }

    /// The route to a handler whose answer is a page for clients that ask for HTML.
    fn to_page<H: for<'a> Handler<'a, Self>>(handler: H) -> Route
    where
        Self::Response: Shown,
    {
        Route::new::<Self>(move |asked| {
            async move {
                let is_page = page::is_wanted(asked.headers);
                let reply = handler.handle(asked.read()?).await?;
                let mut response = match is_page {
                    true => {
                        let status = StatusCode::from_u16(<Self::Response as Reply>::STATUS).unwrap_or_default();
                        reply.page().into_response(status)?
                    }
                    false => reply::success(&reply)?,
                };
                response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
                Ok(response.map(Either::Left))
            }
            .boxed()
        })
    }

    /// The route to an answer that is ready, and to a stream of events for those who ask for one.
    fn to_either<S>(ready: fn(Call<'_, Self>, &HeaderMap) -> Result<Whole>, streamer: S) -> Route
    where
        S: for<'a> Streamer<'a, Self>,
    {
        Route::new::<Self>(move |asked| {
            async move {
                let (headers, streams) = (asked.headers, asked.streams);
                let address = asked.caller.client_info().ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
                let call = asked.read()?;
                if stream::is_wanted(headers) {
                    let user = stream::user(call.authy, headers).await;
                    let place = streams.enter(address, user)?;
                    let events = streamer.stream(call, stream::last_event_id(headers)).await?;
                    return Ok(streams.open(place, events));
                }
                Ok(ready(call, headers)?.map(Either::Left))
            }
            .boxed()
        })
    }

    /// The route to a document that is written while it is sent. HEAD has none of it written.
    fn to_chunks<H: for<'a> Chunker<'a, Self>>(chunker: H) -> Route {
        Route::new::<Self>(move |asked| {
            async move {
                let is_head = asked.is_head;
                let call = asked.read()?;
                Ok(match is_head {
                    true => reply::chunked::<Self::Response>(empty()),
                    false => reply::chunked::<Self::Response>(chunker.chunks(call).await?),
                })
            }
            .boxed()
        })
    }

    /// The route to an answer that never changes, and so is written only once.
    fn always(make: fn() -> Self::Response) -> Route {
        let written = OnceLock::<Whole>::new();
        Route::new::<Self>(move |asked| {
            let response = asked.read::<Self>().and_then(|_| match written.get() {
                Some(response) => Ok(response.clone()),
                None => reply::success(&make()).map(|response| written.get_or_init(|| response).clone()),
            });
            ready(response.map(|response| response.map(Either::Left))).boxed()
        })
    }
}

impl<E: Endpoint> Routed for E {}

/// Every route, found by path and method.
pub(crate) struct Table(matchit::Router<Resource>);

/// What is at a path.
pub(crate) struct Resource {
    routes: Vec<Route>,
    /// The methods, as the `Allow` header has them.
    pub(crate) allow: HeaderValue,
}

impl Resource {
    /// The route of a method; HEAD is a GET whose body stays here.
    pub(crate) fn route(&self, method: &Method) -> Option<&Route> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.routes.iter().find(|route| route.info.method == method)
    }
}

impl Table {
    /// The table of these routes.
    pub(crate) fn new(routes: Vec<Route>) -> Self {
        let mut paths = BTreeMap::<_, Vec<_>>::new();
        for route in routes {
            paths.entry(route.info.path).or_default().push(route);
        }
        let mut table = matchit::Router::new();
        for (path, routes) in paths {
            let allow = methods(routes.iter().map(|route| route.info)).join(", ");
            let allow = HeaderValue::try_from(allow).unwrap_or(HeaderValue::from_static("OPTIONS"));
            if let Err(conflict) = table.insert(path, Resource { routes, allow }) {
                // Two rows with one meaning are a mistake in the source, and the tests find it first.
                tracing::error!(path, %conflict, "a path is out of reach");
            }
        }
        Self(table)
    }

    /// The path of the table that a path fits, with the names of its parameters in place of what they are.
    pub(crate) fn pattern(&self, path: &str) -> &'static str {
        let found = self.0.at(path).ok().and_then(|found| found.value.routes.first());
        found.map_or("(none)", |route| route.info.path)
    }

    /// What is at a path, and the parameters in it, each with its name. They are decoded after the path was split, so an
    /// encoded slash stays inside its segment, and only once.
    pub(crate) fn find<'a>(&'a self, path: &'a str) -> Option<(&'a Resource, Vec<(&'a str, String)>)> {
        let found = self.0.at(path).ok()?;
        let decode = |(name, text)| Some((name, percent_decode_str(text).decode_utf8().ok()?.into_owned()));
        Some((found.value, found.params.iter().map(decode).collect::<Option<_>>()?))
    }
}

/// The methods that the endpoints of one path answer, those included that every path answers.
pub(crate) fn methods<'a>(endpoints: impl Iterator<Item = &'a Info>) -> Vec<&'a str> {
    let own: Vec<_> = endpoints.map(|info| info.method.as_str()).collect();
    let head = own.contains(&"GET").then_some("HEAD");
    ["OPTIONS"].into_iter().chain(head).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routes;

    fn table() -> Table {
        Table::new(routes::all())
    }

    fn found(path: &str) -> Option<(String, Vec<String>)> {
        let table = table();
        let (resource, parameters) = table.find(path)?;
        let allow = resource.allow.to_str().unwrap().to_owned();
        Some((allow, parameters.into_iter().map(|(_, value)| value).collect()))
    }

    #[test]
    fn every_endpoint_has_exactly_one_route() {
        let mut routed: Vec<_> = routes::all().iter().map(|route| route.info.name).collect();
        let mut known: Vec<_> = authy_core::api::all().map(|info| info.name).collect();
        routed.sort_unstable();
        known.sort_unstable();
        assert_eq!(routed, known);
    }

    #[test]
    fn every_endpoint_is_found_at_its_path() {
        let table = table();
        for info in authy_core::api::all() {
            let path = info.path.replace(['{', '}'], "x");
            let (resource, parameters) = table.find(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(resource.route(&info.method).map(|route| route.info.name), Some(info.name));
            assert_eq!(parameters.len(), info.path.matches('{').count(), "{path}");
        }
    }

    #[test]
    fn head_is_answered_wherever_get_is() {
        let (allow, _) = found("/authy/user").unwrap();
        assert_eq!(allow, "OPTIONS, HEAD, POST, GET, DELETE");
        let (allow, _) = found("/authy/login").unwrap();
        assert_eq!(allow, "OPTIONS, POST");
    }

    #[test]
    fn what_is_almost_a_path_is_none() {
        for path in [
            "",
            "/",
            "*",
            "/authy/",
            "/authy/user/",
            "/authy//user",
            "/AUTHY",
            "/authy/fetch/%ff",
            "/authy/fetch/%C0%AF",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn an_encoded_slash_stays_inside_its_segment_and_is_decoded_once() {
        assert_eq!(found("/authy/fetch/a%2Fb").unwrap().1, ["a/b"]);
        assert_eq!(found("/authy/fetch/a%252Fb").unwrap().1, ["a%2Fb"]);
        assert_eq!(found("/authy/fetch/%C3%A9%00").unwrap().1, ["é\0"]);
    }

    proptest! {
        #[test]
        fn any_path_is_found_or_not_found(path in "(/authy(/[a-z%{}*.]{0,9}){0,5}|\\PC*)") {
            if let Some((_, parameters)) = table().find(&path) {
                prop_assert!(parameters.len() <= 2);
            }
        }
    }
}
