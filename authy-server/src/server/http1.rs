//! HTTP/1.1 on one connection: hyper, and what it is told about timeouts and about when to close.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use futures_util::future::{Either, ready};
use http::{HeaderValue, Request, header::CONNECTION, request::Parts};
use hyper::{
    body::{Body as _, Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    body::RequestBody,
    head_timer::HeadTimer,
    parked::{self, ParkingTime},
    places::Places,
    refusing_stream::RefusingStream,
    shared::Connection,
    traffic::Traffic,
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
    traffic: Traffic,
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
            self.traffic.begin_event_stream();
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
    let Connection { shared, listener, peer, places, traffic, mut shutdown } = connection;
    let (head_timeout, keep_alive) = (shared.config.header_timeout, shared.config.keep_alive);
    let context = Arc::new(Context {
        service: shared.service.clone(),
        listener,
        peer,
        places: places.clone(),
        traffic: traffic.clone(),
    });
    let mut stream = RefusingStream::new(stream);
    loop {
        let context = context.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let (mut head, body) = request.into_parts();
            if body.is_end_stream()
                && let Some(mut response) = context.service.answer_from_memory(listener, peer, &mut head)
            {
                context.close_if_needed(&mut response);
                return Either::Left(ready(Ok::<_, Infallible>(response)));
            }
            let context = context.clone();
            // Boxed, so that hyper reserves no memory for it in every connection, and does not copy the response of a token check
            // within it.
            Either::Right(Box::pin(async move { Ok(context.answer(head, body).await) }))
        });
        // Without `pipeline_flush`: it holds answers back while bytes are left to read, and loses them when the connection
        // is closed because of those bytes. Without `half_close`: a client that has closed is gone, and its request is
        // dropped.
        let http = http1::Builder::new()
            .timer(HeadTimer::new(head_timeout, keep_alive, traffic.clone(), places.clone()))
            .header_read_timeout(keep_alive)
            .max_buf_size(HEAD_LIMIT_BYTES)
            .serve_connection(TokioIo::new(stream), answer);
        // Boxed, so that a parked connection has none of its memory.
        let mut http = Box::new(http);
        match shutdown.watch(Pin::new(&mut *http), || traffic.is_idle()).await {
            Some(Ok(())) => return,
            Some(Err(error)) => return tracing::debug!(peer = %peer.ip, %error, "a connection ended early"),
            None => {}
        }
        let parts = http.into_parts();
        stream = parts.io.into_inner();
        let mut before = parts.read_buf;
        // A part of a head came together with the request before.
        if before.is_empty() {
            let time = ParkingTime::new(keep_alive, head_timeout);
            let Some(byte) = parked::next_byte(&mut stream, time, &places, &mut shutdown).await else { return };
            before = Bytes::copy_from_slice(&[byte]);
        }
        stream.put_back(before);
    }
}
