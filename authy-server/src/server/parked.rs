//! A connection that waits for its next request without hyper, which keeps buffers of 16 KiB and more for each connection.
//!
//! Clients keep many connections open and use few of them: balancers one for each worker of each of their processes, browsers several.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, sleep_until},
};

use super::{places::Places, shutdown::ShutdownSignal};

/// Idle time after which a connection is parked. Whoever asks again and again is not.
pub(super) const PARK_AFTER: Duration = Duration::from_secs(2);

/// How long a parked connection is kept.
pub(super) struct ParkingTime {
    idle: Duration,
    /// How often to look whether others wait for the place of the connection.
    look: Duration,
}

impl ParkingTime {
    /// Returns what is left of the idle time of a connection.
    pub(super) fn new(keep_alive: Duration, head_timeout: Duration) -> Self {
        Self { idle: keep_alive.saturating_sub(PARK_AFTER.min(head_timeout)), look: head_timeout }
    }
}

/// Waits for the first byte of a next request. Returns `None` when none comes: the connection was closed by the client, or is closed
/// because its time is over, others wait for its place, or the server stops.
pub(super) async fn next_byte<S>(
    stream: &mut S,
    ParkingTime { idle, look }: ParkingTime,
    places: &Places,
    shutdown: &mut ShutdownSignal,
) -> Option<u8>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = Instant::now() + idle;
    let is_over = async {
        while Instant::now() < deadline {
            sleep_until(deadline.min(Instant::now() + look)).await;
            if places.is_full() {
                return;
            }
        }
    };
    let byte = tokio::select! {
        byte = stream.read_u8() => byte.ok(),
        () = is_over => None,
        () = shutdown.begun() => None,
    };
    if byte.is_none() {
        // The client may be gone.
        let _ = stream.shutdown().await;
    }
    byte
}
