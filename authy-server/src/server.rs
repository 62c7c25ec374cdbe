//! The server: takes connections, and lets go of them in order.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use authy_core::Authy;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    limit::Limits,
    service::Service,
    stream::{EventStream, StreamLimits},
};

mod stream;

use stream::{Stream, Usage, WriteTimeouts};

/// How the HTTP side behaves.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The networks of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count.
    pub trusted_proxies: Vec<IpNet>,
    /// The networks of services that follow revocations as event streams: they have places of their own.
    pub follower_networks: Vec<IpNet>,
    /// How many event streams may be open, and for how long one may take no bytes.
    pub streams: StreamLimits,
    /// Whether requests that did not come by https are refused, all but the one for the status.
    pub require_https: bool,
    /// The origins whose pages may call from a browser, such as `https://shop.example`.
    pub cors_origins: Vec<String>,
    /// How many requests an address may make.
    pub limits: Limits,
    /// How long a connection may take to send the head of its next request, which is also how long it may idle.
    pub header_timeout: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long answering may take, the body's arrival included.
    pub request_timeout: Duration,
    /// For how long a connection may take no bytes of an answer that waits. [`StreamLimits::stall`] is for event streams.
    pub write_timeout: Duration,
    /// How long requests that are being answered may take to end when the server stops.
    pub drain_timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            // Whoever is believed can take any address, so nobody is until it is said.
            trusted_proxies: Vec::new(),
            // Who is not configured has a token, or shares the anonymous places.
            follower_networks: Vec::new(),
            streams: StreamLimits::default(),
            // A first start is on one's own machine, without a certificate.
            require_https: false,
            // No browser page calls us until its origin is named.
            cors_origins: Vec::new(),
            limits: Limits::default(),
            // A slow phone needs two seconds; who needs longer holds connections open on purpose.
            header_timeout: Duration::from_secs(10),
            // 64 KiB over the slowest mobile network.
            body_timeout: Duration::from_secs(10),
            // Clients and proxies give up after 30 to 60 seconds: an answer beyond that is for nobody.
            request_timeout: Duration::from_secs(30),
            // A client that goes through a tunnel comes back within that; it keeps an answer of up to a megabyte in memory.
            write_timeout: Duration::from_secs(30),
            // What most process managers wait before they kill.
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// A head larger than this is answered 431.
const HEAD_LIMIT: usize = 64 * 1024;

/// How often the limits forget addresses that have been quiet.
const FORGET_EVERY: Duration = Duration::from_secs(10);

/// The JSON API of an [`Authy`].
pub struct Server {
    service: Arc<Service>,
    config: HttpConfig,
}

impl Server {
    /// A server that does not listen yet.
    pub fn new(authy: Authy, config: HttpConfig) -> Self {
        Self { service: Arc::new(Service::new(authy, &config)), config }
    }

    /// Serves until `shutdown` completes; then takes no new connections and ends when the requests under way are
    /// answered, or after [`HttpConfig::drain_timeout`]. Dropping the future ends everything at once.
    ///
    /// # Errors
    /// None at present: what goes wrong with one connection does not stop the others.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let mut shutdown = pin!(shutdown);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut forget = interval(FORGET_EVERY);
        forget.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => drop(connections.spawn(self.connection(stream, peer, &graceful))),
                    Err(error) => pause_after(&error).await,
                },
                Some(_) = connections.join_next() => {}
                _ = forget.tick() => self.service.limiter.forget(),
            }
        }
        drop(listener);
        self.service.streams.end();
        if timeout(self.config.drain_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests were not answered in time and are cut off");
        }
        Ok(())
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        graceful: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        // Answers are written in one piece: waiting for more of them only delays them.
        let _ = stream.set_nodelay(true);
        let (service, usage) = (self.service.clone(), Usage::default());
        let timeouts = WriteTimeouts { answer: self.config.write_timeout, events: self.config.streams.stall };
        let stream = Stream::new(stream, timeouts, usage.clone());
        let answer = service_fn(move |request| {
            let (service, usage) = (service.clone(), usage.clone());
            async move {
                let response = service.answer(peer.ip(), request).await;
                if response.extensions().get::<EventStream>().is_some() {
                    usage.begin_events();
                }
                Ok::<_, Infallible>(response)
            }
        });
        // Without `pipeline_flush`, which keeps answers back while bytes are left to read, and so loses them when those are
        // what the connection is closed for. And without `half_close`: a client that has closed is gone, and what it asked
        // for is dropped.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.header_timeout)
            .max_buf_size(HEAD_LIMIT)
            .serve_connection(TokioIo::new(stream), answer);
        let connection = graceful.watch(connection);
        async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
        }
    }
}

/// A connection that failed while it was taken is gone, and the next one is not its fault. When the process has no file
/// descriptor left, trying again at once would only burn time.
async fn pause_after(error: &io::Error) {
    let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "cannot take a connection");
        sleep(Duration::from_millis(100)).await;
    }
}
