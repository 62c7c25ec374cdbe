//! A connection that waits for its next request without hyper, which keeps buffers of 16 KiB and more for each connection.
//!
//! Clients keep many connections open and use few of them: balancers one for each worker of each of their processes, browsers several.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, sleep_until},
};

use super::{places::Places, shutdown::ShutdownSignal};

/// Idle time after which a connection is parked. A client that sends one request after the other is never parked.
pub(super) const PARK_AFTER: Duration = Duration::from_secs(2);

/// How long a parked connection is kept.
pub(super) struct ParkingTime {
    idle: Duration,
    /// What is left of the time of a head: after it, the connection makes way for others who wait for its place.
    head: Duration,
    /// How often to look, from then on, whether any do.
    look: Duration,
}

impl ParkingTime {
    /// Returns what is left of the idle time of a connection.
    pub(super) fn new(keep_alive: Duration, head_timeout: Duration) -> Self {
        Self {
            idle: keep_alive.saturating_sub(PARK_AFTER.min(head_timeout)),
            head: head_timeout.saturating_sub(PARK_AFTER),
            look: head_timeout,
        }
    }
}

/// Waits for the first byte of a next request. Returns `None` when none comes: the connection was closed by the client, or is closed
/// because its time is over, others wait for its place, or the server stops.
pub(super) async fn next_byte<S>(
    stream: &mut S,
    ParkingTime { idle, head, look }: ParkingTime,
    places: &Places,
    shutdown: &mut ShutdownSignal,
) -> Option<u8>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let begun = Instant::now();
    let (deadline, mut next) = (begun + idle, begun + head);
    let is_over = async {
        loop {
            sleep_until(deadline.min(next)).await;
            if places.is_full() || Instant::now() >= deadline {
                return;
            }
            next = Instant::now() + look;
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
