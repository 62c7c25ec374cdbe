//! HTTP/1.1 on one connection: hyper, and what it is told about timeouts and about when to close.

use std::convert::Infallible;

use http::{HeaderValue, Request, header::CONNECTION};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{body::RequestBody, head_timer::HeadTimer, refusing_stream::RefusingStream, shared::Connection};
use crate::stream::IsEventStream;

/// Maximum size of the head of a request in bytes; a larger one is answered 431.
pub(super) const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// Answers the requests of a connection, until it is closed.
pub(super) async fn serve<S>(connection: Connection, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Connection { shared, listener, peer, places, arrival, event_stream, shutdown } = connection;
    let timer = HeadTimer::new(shared.config.header_timeout, arrival, places.clone());
    let keep_alive = shared.config.keep_alive;
    let service = shared.service.clone();
    let answer = service_fn(move |request: Request<_>| {
        let (service, event_stream, places) = (service.clone(), event_stream.clone(), places.clone());
        async move {
            let (head, body) = request.into_parts();
            let mut body = RequestBody::new(body);
            let request = Request::from_parts(head, &mut body);
            let mut response = service.answer(listener, peer, request).await;
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
        .header_read_timeout(keep_alive)
        .max_buf_size(HEAD_LIMIT_BYTES)
        .serve_connection(TokioIo::new(RefusingStream::new(stream)), answer);
    if let Err(error) = shutdown.watch(connection).await {
        tracing::debug!(peer = %peer.ip, %error, "a connection ended early");
    }
}
