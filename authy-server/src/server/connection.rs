//! One connection: hyper, and what it is told about timeouts and about when to close.

use std::{convert::Infallible, future::Future};

use http::{HeaderValue, Request, header::CONNECTION};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};

use super::{
    acceptor::Accepted,
    body::RequestBody,
    head_timer::{ArrivalFlag, HeadTimer},
    stream::{ClientStream, EventStreamFlag, WriteTimeouts},
};
use crate::{http_config::HttpConfig, mounted::AuthyService, stream::IsEventStream};

/// Maximum size of the head of a request in bytes; a larger one is answered 431.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// Answers the requests of a connection, until it is closed.
pub(super) fn serve(
    service: &AuthyService,
    config: &HttpConfig,
    accepted: Accepted,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    let Accepted { stream, peer, listener, place, places } = accepted;
    // Answers are written in one piece, so Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    let (service, event_stream, arrival) = (service.clone(), EventStreamFlag::default(), ArrivalFlag::default());
    let timeouts = WriteTimeouts { answer: config.write_timeout, events: config.streams.stall };
    let stream = ClientStream::new(stream, timeouts, arrival.clone(), event_stream.clone());
    let open = service.open_connection();
    let timer = HeadTimer::new(config.header_timeout, arrival, places.clone());
    let answer = service_fn(move |request: Request<_>| {
        let (service, event_stream, places) = (service.clone(), event_stream.clone(), places.clone());
        async move {
            let (head, body) = request.into_parts();
            let mut body = RequestBody::new(body);
            let request = Request::from_parts(head, &mut body);
            let mut response = service.answer(listener, peer.ip(), request).await;
            // When a part of the body is left, hyper closes as well, and does not say so.
            if body.is_left() || places.is_full() || service.is_stopping() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if response.extensions().get::<IsEventStream>().is_some() {
                event_stream.set();
            }
            Ok::<_, Infallible>(response)
        }
    });
    // Without `pipeline_flush`: it holds answers back while bytes are left to read, and loses them when the connection
    // is closed because of those bytes. Without `half_close`: a client that has closed is gone, and its request is
    // dropped.
    let connection = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(config.keep_alive)
        .max_buf_size(HEAD_LIMIT_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    let connection = graceful.watch(connection);
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
        drop((place, open));
    }
}
