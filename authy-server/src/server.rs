//! The server: accepts connections, and closes them in order when it stops.

use std::{convert::Infallible, future::Future, io, pin::pin};

use authy_core::Authy;
use http::{HeaderValue, header::CONNECTION};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{http_config::HttpConfig, listener::Listener, mounted::AuthyService, stream::IsEventStream};

mod acceptor;
mod body;
mod head_timer;
mod places;
mod refusal;
mod stream;

use acceptor::{Accepted, Acceptor};
use body::RequestBody;
use head_timer::{ArrivalFlag, HeadTimer};
use stream::{ClientStream, EventStreamFlag, WriteTimeouts};

/// Maximum size of the head of a request in bytes; a larger one is answered 431.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// The JSON API of an [`Authy`].
pub struct Server {
    service: AuthyService,
    config: HttpConfig,
}

impl Server {
    /// Creates a server that does not listen yet.
    pub fn new(authy: Authy, config: HttpConfig) -> Self {
        Self { service: AuthyService::new(authy, &config), config }
    }

    /// Serves until `shutdown` completes, and then stops without losing a request. For [`HttpConfig::stop_delay`] it
    /// goes on accepting, and every answer ends its connection (`Connection: close`). Then it closes the listener and
    /// the idle connections, and returns when the requests under way are answered, or after
    /// [`HttpConfig::drain_timeout`]. Dropping the future closes all connections at once.
    ///
    /// Give the listener a queue of some thousand connections
    /// ([`TcpSocket::listen`](tokio::net::TcpSocket::listen)): with fewer, clients that connect at the same moment wait
    /// a second for their next attempt.
    ///
    /// # Errors
    /// None at present: an error of one connection does not stop the others.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let max = self.config.max_connections.unwrap_or_else(places::permitted_by_descriptors);
        let acceptor = Acceptor::new(listener, max);
        let mut connections = Connections::default();
        self.service.forget_addresses();
        self.accept_until(shutdown, &acceptor, &mut connections).await;
        self.service.begin_stop();
        self.accept_until(sleep(self.config.stop_delay), &acceptor, &mut connections).await;
        drop(acceptor);
        self.service.end_streams();
        if timeout(self.config.drain_timeout, connections.graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests were not answered in time: their connections are closed");
        }
        Ok(())
    }

    async fn accept_until(
        &self,
        end: impl Future<Output = ()> + Send,
        acceptor: &Acceptor,
        connections: &mut Connections,
    ) {
        let Connections { tasks, graceful } = connections;
        let mut end = pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                accepted = acceptor.accept() => drop(tasks.spawn(self.connection(accepted, graceful))),
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    fn connection(&self, accepted: Accepted, graceful: &GracefulShutdown) -> impl Future<Output = ()> + Send + 'static {
        let Accepted { stream, peer, place, places } = accepted;
        // Answers are written in one piece, so Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let (service, event_stream, arrival) =
            (self.service.clone(), EventStreamFlag::default(), ArrivalFlag::default());
        let timeouts = WriteTimeouts { answer: self.config.write_timeout, events: self.config.streams.stall };
        let stream = ClientStream::new(stream, timeouts, arrival.clone(), event_stream.clone());
        let timer = HeadTimer::new(self.config.header_timeout, arrival, places.clone());
        let answer = service_fn(move |request: hyper::Request<_>| {
            let (service, event_stream, places) = (service.clone(), event_stream.clone(), places.clone());
            async move {
                let (head, body) = request.into_parts();
                let mut body = RequestBody::new(body);
                let request = hyper::Request::from_parts(head, &mut body);
                let mut response = service.answer(Listener::Sole, peer.ip(), request).await;
                // hyper closes as well when a part of the body is left, and does not say so.
                if body.is_left() || places.is_full() || service.is_stopping() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                if response.extensions().get::<IsEventStream>().is_some() {
                    event_stream.set();
                }
                Ok::<_, Infallible>(response)
            }
        });
        // Without `pipeline_flush`: it holds answers back while bytes are left to read, and loses them when the
        // connection is closed because of those bytes. Without `half_close`: a client that has closed is gone, and its
        // request is dropped.
        let connection = http1::Builder::new()
            .timer(timer)
            .header_read_timeout(self.config.keep_alive)
            .max_buf_size(HEAD_LIMIT_BYTES)
            .serve_connection(TokioIo::new(stream), answer);
        let connection = graceful.watch(connection);
        async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            drop(place);
        }
    }
}

/// The open connections, which are closed when this is dropped.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    graceful: GracefulShutdown,
}
