//! The API as a tower service, inside another program's HTTP server.

use std::{
    convert::Infallible,
    error::Error as StdError,
    fmt,
    future::{Future, ready},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use authy_core::{Authy, ErrorKind};
use bytes::Bytes;
use http::{Extensions, Request, request::Parts};
use hyper::body::Body;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    error_reply::ErrorReply,
    http_config::HttpConfig,
    limit::RateLimiter,
    listener::Listener,
    metrics::{Format, OpenConnection},
    peer::Peer,
    reply::{Response, ResponseBody},
    request,
    service::Service,
};

/// Interval at which the rate limits forget addresses without recent requests.
const FORGET_EVERY: Duration = Duration::from_secs(10);

/// The address of the connection that a request came from. The program that mounts an [`AuthyService`] adds it to the
/// extensions of each request; with the feature `axum`, `ConnectInfo<SocketAddr>` does as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// The JSON API of an [`Authy`] as a [tower service](tower_service::Service), for an HTTP server of your own. Cheap to
/// clone; clones share their limits.
///
/// It answers the paths below `/authy` and `/.well-known` and no others, and needs the whole path: do not strip a prefix. The HTTP
/// server around it decides about connections: timeouts for heads and writes, the maximum size of a head, TLS. [`Server`](crate::Server)
/// brings its own.
#[derive(Clone)]
pub struct AuthyService(Arc<Service>);

/// Returns the JSON API of an [`Authy`] as a tower service.
///
/// With axum, and the feature `axum`:
///
/// ```no_run
/// # #[cfg(feature = "axum")]
/// # async fn mount(authy: authy_core::Authy) -> std::io::Result<()> {
/// use std::net::SocketAddr;
///
/// use authy_server::HttpConfig;
/// use axum::{Router, routing::get};
///
/// let authy = authy_server::service(authy, HttpConfig::default());
/// let router = Router::new().route("/", get(async || "a shop")).fallback_service(authy);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
/// # }
/// ```
///
/// # Panics
/// Outside of a Tokio runtime.
pub fn service(authy: Authy, config: HttpConfig) -> AuthyService {
    let service = AuthyService::new(authy, &config);
    service.forget_addresses();
    service
}

impl AuthyService {
    pub(crate) fn new(authy: Authy, config: &HttpConfig) -> Self {
        Self(Arc::new(Service::new(authy, config)))
    }

    /// Starts a task that removes the addresses whose allowance is complete again, until the last clone is dropped.
    pub(crate) fn forget_addresses(&self) {
        let known = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut tick = interval(FORGET_EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let Some(service) = known.upgrade() else { return };
                service.limiter.forget();
            }
        });
    }

    /// Records that the server is about to stop.
    pub(crate) fn begin_stop(&self) {
        self.0.readiness.begin_stop();
    }

    /// Returns whether the server is about to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.0.readiness.is_stopping()
    }

    /// Ends every event stream, so that a graceful shutdown does not wait for them. Call it when the program stops.
    pub fn end_streams(&self) {
        self.0.streams.end();
    }

    /// Returns the limits per address, for the program's own paths that do the same: a login there and one at
    /// `/authy/login` then use up the same allowance.
    pub fn limiter(&self) -> &RateLimiter {
        &self.0.limiter
    }

    /// Returns the metrics of the API and of the engine, in the text format of Prometheus (version 0.0.4, `Content-Type:
    /// text/plain; version=0.0.4; charset=utf-8`), for a path of the program. Reads memory only. Keep the path from the
    /// public: metrics contain nothing about users, but say how much is going on.
    pub fn metrics(&self) -> String {
        self.0.scrape().into_text(Format::Prometheus)
    }

    /// Counts a connection until the result is dropped.
    pub(crate) fn open_connection(&self) -> OpenConnection {
        self.0.counts.open_connection()
    }

    /// Adds the certificate of the listeners to the metrics.
    #[cfg(feature = "tls")]
    pub(crate) fn count_tls(&self, tls: &crate::tls::Tls) {
        self.0.counts.set_tls_expiry(tls.expiry());
    }

    /// Answers a token check from memory; `None` for every other request, whose head is as it was.
    pub(crate) fn answer_from_memory(&self, listener: Listener, peer: Peer, head: &mut Parts) -> Option<Response> {
        self.0.answer_from_memory(listener, peer, head)
    }

    /// Answers a request that came from `peer`.
    pub(crate) async fn answer<B>(&self, listener: Listener, peer: Peer, head: Parts, body: B) -> Response
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.0.answer(listener, peer, head, body).await
    }
}

impl<B> tower_service::Service<Request<B>> for AuthyService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let Some(peer) = peer(&head.extensions).map(Peer::plain) else {
            // The limits count by it: without it, one client could use up the allowance of all.
            let missing = "the request has no PeerAddress in its extensions";
            let id = request::id(&head.headers);
            let failure = ErrorReply::new(ErrorKind::Internal, missing);
            return Box::pin(ready(Ok(failure.into_response(id.to_str().unwrap_or_default()))));
        };
        if let Some(response) = self.answer_from_memory(Listener::Mounted, peer, &mut head) {
            return Box::pin(ready(Ok(response)));
        }
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(Listener::Mounted, peer, head, body).await) })
    }
}

fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<PeerAddress>().map(|peer| peer.0);
    #[cfg(feature = "axum")]
    let peer = peer.or_else(|| {
        extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>().map(|connection| connection.0.ip())
    });
    peer
}

impl fmt::Debug for AuthyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthyService").finish_non_exhaustive()
    }
}
