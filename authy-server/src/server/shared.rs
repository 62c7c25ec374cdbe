//! What connections share, and what one of them consists of.

use std::sync::Arc;

#[cfg(feature = "tls")]
use super::handshake::TlsListener;
use super::{places::Places, shutdown::ShutdownSignal, traffic::Traffic};
use crate::{http_config::HttpConfig, listener::Listener, mounted::AuthyService, peer::Peer};

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) service: AuthyService,
    pub(super) config: HttpConfig,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<TlsListener>,
}

/// A connection on which HTTP is spoken.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) listener: Listener,
    pub(super) peer: Peer,
    pub(super) places: Arc<Places>,
    pub(super) traffic: Traffic,
    pub(super) shutdown: ShutdownSignal,
}
