//! HTTP/1.1 on one connection: hyper, and what it is told about timeouts and about when to close.

use std::{convert::Infallible, sync::Arc};

use futures_util::future::{Either, ready};
use http::{HeaderValue, Request, header::CONNECTION, request::Parts};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    body::RequestBody, head_timer::HeadTimer, places::Places, refusing_stream::RefusingStream, shared::Connection,
    stream::EventStreamFlag,
};
use crate::{listener::Listener, mounted::AuthyService, peer::Peer, reply::Response, stream::IsEventStream};

/// Maximum size of the head of a request in bytes; a larger one is answered 431.
pub(super) const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// What the requests of a connection share.
struct Context {
    service: AuthyService,
    listener: Listener,
    peer: Peer,
    places: Arc<Places>,
    event_stream: EventStreamFlag,
}

impl Context {
    async fn answer(&self, head: Parts, body: Incoming) -> Response {
        let mut body = RequestBody::new(body);
        let mut response = self.service.answer(self.listener, self.peer, head, &mut body).await;
        // When a part of the body is left, hyper closes as well, and does not say so.
        match body.is_left() {
            true => close(&mut response),
            false => self.close_if_needed(&mut response),
        }
        if response.extensions().get::<IsEventStream>().is_some() {
            self.event_stream.set();
        }
        response
    }

    /// Ends the connection with this response when others wait for its place, or the server stops.
    fn close_if_needed(&self, response: &mut Response) {
        if self.places.is_full() || self.service.is_stopping() {
            close(response);
        }
    }
}

fn close(response: &mut Response) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Answers the requests of a connection, until it is closed.
pub(super) async fn serve<S>(connection: Connection, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Connection { shared, listener, peer, places, arrival, event_stream, shutdown } = connection;
    let (head_timeout, keep_alive) = (shared.config.header_timeout, shared.config.keep_alive);
    let timer = HeadTimer::new(head_timeout, keep_alive, arrival, places.clone());
    let context = Arc::new(Context { service: shared.service.clone(), listener, peer, places, event_stream });
    let answer = service_fn(move |request: Request<Incoming>| {
        let (mut head, body) = request.into_parts();
        if body.is_end_stream()
            && let Some(mut response) = context.service.answer_from_memory(listener, peer, &mut head)
        {
            context.close_if_needed(&mut response);
            return Either::Left(ready(Ok::<_, Infallible>(response)));
        }
        let context = context.clone();
        // Boxed, so that hyper reserves no memory for it in every connection, and does not copy the response of a token check within
        // it.
        Either::Right(Box::pin(async move { Ok(context.answer(head, body).await) }))
    });
    // Without `pipeline_flush`: it holds answers back while bytes are left to read, and loses them when the connection
    // is closed because of those bytes. Without `half_close`: a client that has closed is gone, and its request is
    // dropped.
    let connection = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(keep_alive)
        .max_buf_size(HEAD_LIMIT_BYTES)
        .serve_connection(TokioIo::new(RefusingStream::new(stream)), answer);
    if let Err(error) = shutdown.watch(connection).await {
        tracing::debug!(peer = %peer.ip, %error, "a connection ended early");
    }
}
