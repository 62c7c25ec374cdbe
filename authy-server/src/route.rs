//! Routes: an endpoint's row and the handler that answers it. A handler whose types do not fit the row does not
//! compile.

use std::{future::Future, net::Ipv4Addr, sync::OnceLock};

use authy_core::{
    Result,
    api::{Endpoint, Info, Reply, StatusCode},
};
use bytes::Bytes;
use futures_util::{
    Stream,
    future::{BoxFuture, FutureExt as _, ready},
    stream::empty,
};
use http::{HeaderMap, HeaderValue, header::VARY};
use http_body_util::Either;

use crate::{
    call::{Call, RawCall},
    page::{self, ToHtmlPage},
    reply::{self, FullResponse, Response},
    stream,
};

/// An endpoint and its handler.
pub(crate) struct Route {
    /// The endpoint's row.
    pub(crate) info: &'static Info,
    answer: Box<AnswerFn>,
}

type AnswerFn = dyn for<'a> Fn(RawCall<'a>) -> BoxFuture<'a, Result<Response>> + Send + Sync;

impl Route {
    /// Creates the route of an endpoint from what answers its calls.
    pub(crate) fn new<E: Endpoint>(
        answer: impl for<'a> Fn(RawCall<'a>) -> BoxFuture<'a, Result<Response>> + Send + Sync + 'static,
    ) -> Self {
        Self { info: const { &E::INFO }, answer: Box::new(answer) }
    }

    /// Answers a call.
    pub(crate) fn answer<'a>(&self, raw: RawCall<'a>) -> BoxFuture<'a, Result<Response>> {
        (self.answer)(raw)
    }

    /// Returns the route with changed answers of success.
    pub(crate) fn map(self, change: fn(Response) -> Response) -> Self {
        let Self { info, answer } = self;
        Self { info, answer: Box::new(move |raw| answer(raw).map(move |answered| answered.map(change)).boxed()) }
    }
}

/// An async function that answers an endpoint.
pub(crate) trait Handler<'a, E: Endpoint>: Copy + Send + Sync + 'static {
    /// The future of the answer.
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
    /// The future of the answer.
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
    /// The future of the answer.
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

/// Constructors of routes.
pub(crate) trait Routed: Endpoint + Sized {
    /// Routes to a handler.
    fn to<H: for<'a> Handler<'a, Self>>(handler: H) -> Route {
        Route::new::<Self>(move |raw| {
            async move { Ok(reply::success(&handler.handle(raw.read()?).await?)?.map(Either::Left)) }.boxed()
        })
    }

    /// Routes to a handler whose answer is a page for clients that ask for HTML.
    fn to_page<H: for<'a> Handler<'a, Self>>(handler: H) -> Route
    where
        Self::Response: ToHtmlPage,
    {
        Route::new::<Self>(move |raw| {
            async move {
                let is_page = page::is_wanted(raw.headers);
                let reply = handler.handle(raw.read()?).await?;
                let mut response = match is_page {
                    true => {
                        let status = StatusCode::from_u16(<Self::Response as Reply>::STATUS).unwrap_or_default();
                        reply.to_html_page().into_response(status)?
                    }
                    false => reply::success(&reply)?,
                };
                response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
                Ok(response.map(Either::Left))
            }
            .boxed()
        })
    }

    /// Routes to a complete answer, or to a stream of events for clients that ask for one.
    fn to_either<S>(ready: fn(Call<'_, Self>, &HeaderMap) -> Result<FullResponse>, streamer: S) -> Route
    where
        S: for<'a> Streamer<'a, Self>,
    {
        Route::new::<Self>(move |raw| {
            async move {
                let (headers, streams, is_certified) = (raw.headers, raw.streams, raw.is_certified);
                let address = raw.caller.client_info().ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
                let call = raw.read()?;
                if stream::is_wanted(headers) {
                    let user = stream::user(call.authy, headers).await;
                    let place = streams.enter(address, user, is_certified)?;
                    let events = streamer.stream(call, stream::last_event_id(headers)).await?;
                    return Ok(streams.open(place, events));
                }
                Ok(ready(call, headers)?.map(Either::Left))
            }
            .boxed()
        })
    }

    /// Routes to a document that is written while it is sent. For HEAD, no document is written.
    fn to_chunks<H: for<'a> Chunker<'a, Self>>(chunker: H) -> Route {
        Route::new::<Self>(move |raw| {
            async move {
                let is_head = raw.is_head;
                let call = raw.read()?;
                Ok(match is_head {
                    true => reply::chunked::<Self::Response>(empty()),
                    false => reply::chunked::<Self::Response>(chunker.chunks(call).await?),
                })
            }
            .boxed()
        })
    }

    /// Routes to an answer that never changes and is written only once.
    fn always(make: fn() -> Self::Response) -> Route {
        let written = OnceLock::<FullResponse>::new();
        Route::new::<Self>(move |raw| {
            let response = raw.read::<Self>().and_then(|_| match written.get() {
                Some(response) => Ok(response.clone()),
                None => reply::success(&make()).map(|response| written.get_or_init(|| response).clone()),
            });
            ready(response.map(|response| response.map(Either::Left))).boxed()
        })
    }
}

impl<E: Endpoint> Routed for E {}
