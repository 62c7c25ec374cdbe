//! TLS handshakes: how long one may take, and how many are under way at a time.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::stream::ClientStream;
use crate::tls::{self, Tls};

/// Maximum number of handshakes under way. One takes about a millisecond of a processor and a round trip or two of the
/// network: several thousand clients connect in a second.
const MAX_HANDSHAKES: usize = 512;

/// Time for a handshake while others wait to begin theirs: a few round trips of a slow network.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(2);

/// TLS of the listeners of a server.
pub(super) struct TlsListener {
    tls: Tls,
    free: Semaphore,
    waiting: AtomicUsize,
}

/// A connection after its handshake.
pub(super) struct Handshaken {
    pub(super) stream: TlsStream<ClientStream>,
    pub(super) is_http2: bool,
    /// Whether the client has a certificate, which has been verified.
    pub(super) is_certified: bool,
}

impl TlsListener {
    pub(super) fn new(tls: Tls) -> Self {
        Self { tls, free: Semaphore::new(MAX_HANDSHAKES), waiting: AtomicUsize::new(0) }
    }

    /// Performs the handshake of a connection.
    ///
    /// # Errors
    /// When it fails, or is not complete in time.
    pub(super) async fn shake_hands(&self, stream: ClientStream, limit: Duration) -> io::Result<Handshaken> {
        let begun = Instant::now();
        let _turn = match self.free.try_acquire() {
            Ok(turn) => turn,
            Err(_) => {
                let _waiting = Waiting::begin(&self.waiting);
                let turn = timeout(limit, self.free.acquire()).await.map_err(|_| io::ErrorKind::TimedOut)?;
                turn.map_err(io::Error::other)?
            }
        };
        // The certificate that is in use now.
        let handshake = TlsAcceptor::from(self.tls.config()).accept(stream);
        let stream = tokio::select! {
            stream = handshake => stream?,
            () = too_long(&self.waiting, CROWDED_TIMEOUT, begun + limit) => return Err(io::ErrorKind::TimedOut.into()),
        };
        let (_, session) = stream.get_ref();
        let is_http2 = session.alpn_protocol() == Some(tls::HTTP2);
        let is_certified = session.peer_certificates().is_some_and(|chain| !chain.is_empty());
        Ok(Handshaken { stream, is_http2, is_certified })
    }
}

/// Returns when a handshake that begins now has taken too long: at the deadline, or after the shorter time while others wait.
async fn too_long(waiting: &AtomicUsize, crowded: Duration, deadline: Instant) {
    let mut next = Instant::now();
    loop {
        next = (next + crowded).min(deadline);
        sleep_until(next).await;
        if next >= deadline || waiting.load(Ordering::Relaxed) > 0 {
            return;
        }
    }
}

/// A connection that waits to begin its handshake.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_crowd_shortens_the_time_of_a_handshake() {
        let (waiting, short, limit) = (AtomicUsize::new(0), Duration::from_millis(20), Duration::from_millis(100));
        let begun = Instant::now();
        too_long(&waiting, short, begun + limit).await;
        assert!(begun.elapsed() >= limit);
        let _waits = Waiting::begin(&waiting);
        let crowded = too_long(&waiting, short, Instant::now() + Duration::from_secs(3600));
        timeout(Duration::from_secs(20), crowded).await.expect("it has the whole time");
    }
}
