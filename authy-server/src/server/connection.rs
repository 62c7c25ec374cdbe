//! One connection: TLS where the server has it, then the version of HTTP that the client chose.

use std::sync::Arc;

use super::{
    acceptor::Accepted,
    http1,
    shared::{Connection, Shared},
    shutdown::ShutdownSignal,
    stream::{ClientStream, WriteTimeouts},
    traffic::Traffic,
};
#[cfg(feature = "tls")]
use super::{
    handshake::{Handshaken, TlsListener},
    http2,
};
use crate::peer::Peer;

/// Answers the requests of a connection, until it is closed.
pub(super) async fn serve(shared: Arc<Shared>, accepted: Accepted, shutdown: ShutdownSignal) {
    let Accepted { stream, peer, listener, place, places } = accepted;
    let open = shared.service.open_connection();
    // Answers are written in one piece, so Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    let traffic = Traffic::default();
    let timeouts = WriteTimeouts { answer: shared.config.write_timeout, events: shared.config.streams.stall };
    let stream = ClientStream::new(stream, timeouts, traffic.clone());
    let peer = Peer::plain(peer.ip());
    let connection = Connection { shared, listener, peer, places, traffic, shutdown };
    serve_http(connection, stream).await;
    drop((place, open));
}

#[cfg(not(feature = "tls"))]
async fn serve_http(connection: Connection, stream: ClientStream) {
    http1::serve(connection, stream).await;
}

#[cfg(feature = "tls")]
async fn serve_http(connection: Connection, stream: ClientStream) {
    let shared = connection.shared.clone();
    match &shared.tls {
        // Boxed, so that a connection without TLS reserves no memory for one with it, which needs four times as much.
        Some(tls) => Box::pin(serve_tls(connection, stream, tls)).await,
        None => http1::serve(connection, stream).await,
    }
}

#[cfg(feature = "tls")]
async fn serve_tls(mut connection: Connection, stream: ClientStream, tls: &TlsListener) {
    let handshake_timeout = connection.shared.config.handshake_timeout;
    let handshake = tls.shake_hands(stream, handshake_timeout);
    let handshaken = tokio::select! {
        handshaken = handshake => handshaken,
        // A client that has not even a connection has no request under way.
        () = connection.shutdown.begun() => return,
    };
    match handshaken {
        Ok(Handshaken { stream, is_http2, is_certified }) => {
            connection.peer = Peer { is_encrypted: true, is_certified, ..connection.peer };
            match is_http2 {
                // Boxed: it is larger than all else that a connection needs.
                true => Box::pin(http2::serve(connection, stream)).await,
                false => http1::serve(connection, stream).await,
            }
        }
        Err(error) => tracing::debug!(peer = %connection.peer.ip, %error, "a TLS handshake failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_without_tls_reserves_little_memory() {
        let bytes = size(serve);
        assert!(bytes <= 2048, "{bytes} bytes, which ten thousand idle connections pay for");
    }
}
