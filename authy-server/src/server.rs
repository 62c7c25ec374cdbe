//! The server: accepts connections, and closes them in order when it stops.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use authy_core::Authy;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{http_config::HttpConfig, mounted::AuthyService, stream::IsEventStream};

mod refusal;
mod stream;

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

    /// Serves until `shutdown` completes. Then it accepts no new connections, and returns when the requests under way
    /// are answered, or after [`HttpConfig::drain_timeout`]. Dropping the future closes all connections at once.
    ///
    /// # Errors
    /// None at present: an error of one connection does not stop the others.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let mut shutdown = pin!(shutdown);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        self.service.forget_addresses();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => drop(connections.spawn(self.connection(stream, peer, &graceful))),
                    Err(error) => pause_after(&error).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        self.service.end_streams();
        if timeout(self.config.drain_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests were not answered in time: their connections are closed");
        }
        Ok(())
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        graceful: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        // Answers are written in one piece, so Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let (service, event_stream) = (self.service.clone(), EventStreamFlag::default());
        let open = service.open_connection();
        let timeouts = WriteTimeouts { answer: self.config.write_timeout, events: self.config.streams.stall };
        let stream = ClientStream::new(stream, timeouts, event_stream.clone());
        let answer = service_fn(move |request| {
            let (service, event_stream) = (service.clone(), event_stream.clone());
            async move {
                let response = service.answer_or_metrics(peer.ip(), request).await;
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
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.header_timeout)
            .max_buf_size(HEAD_LIMIT_BYTES)
            .serve_connection(TokioIo::new(stream), answer);
        let connection = graceful.watch(connection);
        async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            drop(open);
        }
    }
}

/// Waits after an error of `accept`, unless only one connection failed. When the process has no file descriptor left,
/// accepting again at once would fail again.
async fn pause_after(error: &io::Error) {
    let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "cannot accept a connection");
        sleep(Duration::from_millis(100)).await;
    }
}
