//! The server: accepts connections, and closes them in order when it stops.

use std::{future::Future, io, pin::pin, sync::Arc};

use authy_core::Authy;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};

#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{http_config::HttpConfig, mounted::AuthyService};

mod acceptor;
mod body;
mod connection;
#[cfg(feature = "tls")]
mod handshake;
mod head_timer;
mod http1;
#[cfg(feature = "tls")]
mod http2;
mod listeners;
mod parked;
mod places;
mod refusal;
mod refusing_stream;
mod shared;
mod shutdown;
mod stream;
mod traffic;

use acceptor::Acceptors;
#[cfg(feature = "tls")]
use handshake::TlsListener;
use shared::Shared;
use shutdown::Shutdown;

/// The JSON API of an [`Authy`], and the paths `/livez` and `/readyz`.
pub struct Server {
    service: AuthyService,
    admin: Vec<TcpListener>,
    config: HttpConfig,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Server {
    /// Creates a server that does not listen yet.
    pub fn new(authy: Authy, config: HttpConfig) -> Self {
        Self {
            service: AuthyService::new(authy, &config),
            admin: Vec::new(),
            config,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Uses TLS on every listener, with HTTP/2 for clients that ask for it. Without, the server speaks plain HTTP/1.1.
    ///
    /// While it serves, it reads the files again every ten seconds.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.service.count_tls(&tls);
        self.tls = Some(tls);
        self
    }

    /// Adds a listener that only administrators and monitoring can reach. It has every path. The listener of
    /// [`serve`](Self::serve) then answers 404, as for an unknown path, where an endpoint is for administrators alone,
    /// for `/livez` and `/readyz`, and when an administrator changes the account of somebody else.
    ///
    /// Can be called several times. These listeners have 128 connections of their own, so that a crowd on the other listener does not make the server look dead.
    #[must_use]
    pub fn with_admin_listener(mut self, listener: TcpListener) -> Self {
        self.admin.push(listener);
        self
    }

    /// Serves until `shutdown` completes, and then stops without losing a request. For [`HttpConfig::stop_delay`] it
    /// goes on accepting, `/readyz` is 503, and every answer of HTTP/1.1 ends its connection (`Connection: close`). Then
    /// it closes the listener and the idle connections, and returns when the requests under way are
    /// answered, or after [`HttpConfig::drain_timeout`]. Dropping the future closes all connections at once.
    ///
    /// Give the listener a queue of some thousand connections
    /// ([`TcpSocket::listen`](tokio::net::TcpSocket::listen)): with fewer, clients that connect at the same moment wait
    /// a second for their next attempt.
    ///
    /// # Errors
    /// None at present: an error of one connection does not stop the others.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        self.serve_all(vec![listener], shutdown).await
    }

    /// Serves on several listeners, as [`serve`](Self::serve) does on one.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_all(
        self,
        listeners: Vec<TcpListener>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let Self { service, admin, config, .. } = self;
        let acceptors = Acceptors::new(listeners, admin, config.max_connections);
        let (mut tasks, connections) = (JoinSet::new(), Shutdown::new());
        service.forget_addresses();
        // Ends with this function.
        #[cfg(feature = "tls")]
        let mut following = JoinSet::new();
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.clone() {
            following.spawn(async move { tls.follow_files().await });
        }
        let shared = Arc::new(Shared {
            service: service.clone(),
            config: config.clone(),
            #[cfg(feature = "tls")]
            tls: self.tls.map(TlsListener::new),
        });
        let mut accept_until = async |end: &mut (dyn Future<Output = ()> + Send + Unpin)| {
            loop {
                tokio::select! {
                    () = &mut *end => return,
                    accepted = acceptors.accept() => {
                        tasks.spawn(connection::serve(shared.clone(), accepted, connections.signal()));
                    }
                    Some(_) = tasks.join_next() => {}
                }
            }
        };
        accept_until(&mut pin!(shutdown)).await;
        service.begin_stop();
        accept_until(&mut pin!(sleep(config.stop_delay))).await;
        drop(acceptors);
        service.end_streams();
        if timeout(config.drain_timeout, connections.end()).await.is_err() {
            tracing::warn!("some requests were not answered in time: their connections are closed");
        }
        Ok(())
    }
}
