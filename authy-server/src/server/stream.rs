//! A client's connection below TLS and HTTP, with what hyper lacks for writing and closing.
//!
//! - A client that takes no bytes of its answer is closed after a time.
//! - When a server closes while a client is still sending, the client's system may discard the answer that says what
//!   was wrong: what still arrives is read for a while (RFC 9112, section 9.6).

use std::{
    future::Future as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::traffic::Traffic;

/// Maximum time for reading what arrives after the last answer: a few round trips of a slow network.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum number of bytes that are read after the last answer: what a fast client has under way, and no download of
/// ours.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of an event stream that may wait in the kernel, which uses twice as much memory for them. With fewer, a client
/// that never reads is found sooner; these are enough for 16 MB a second to a follower with a round trip of a
/// millisecond.
const EVENT_SEND_BUFFER_BYTES: usize = 16 * 1024;

/// The connection of one client.
pub(super) struct ClientStream {
    tcp: TcpStream,
    lingering: Option<Lingering>,
    timeouts: WriteTimeouts,
    traffic: Traffic,
    has_events: bool,
    /// When the client has taken nothing for too long; set while something waits to be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// Maximum time for which a client may take no bytes while some wait for it.
#[derive(Clone, Copy)]
pub(super) struct WriteTimeouts {
    /// Of an ordinary answer.
    pub(super) answer: Duration,
    /// Of an event stream.
    pub(super) events: Duration,
}

/// A connection that has been shut down for writing.
struct Lingering {
    deadline: Pin<Box<Sleep>>,
    read: usize,
}

impl ClientStream {
    pub(super) fn new(tcp: TcpStream, timeouts: WriteTimeouts, traffic: Traffic) -> Self {
        let (lingering, stalled) = (None, None);
        Self { tcp, lingering, timeouts, traffic, has_events: false, stalled }
    }

    /// Fails a write that the client has not taken in time.
    fn bound<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                self.traffic.set_blocked(false);
            }
            return written;
        }
        self.traffic.set_blocked(true);
        let time = if self.has_events { self.timeouts.events } else { self.timeouts.answer };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(stalled.as_mut().poll(cx));
        // What the kernel still has for the client is discarded as well.
        let _ = sockopt::set_socket_linger(&self.tcp, Some(Duration::ZERO));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no bytes")))
    }

    /// Prepares the connection for an event stream when one has begun.
    fn prepare_for_events(&mut self) {
        if self.has_events || !self.traffic.is_event_stream() {
            return;
        }
        self.has_events = true;
        // When this fails, it only takes longer until a stream that is never read is found.
        let _ = sockopt::set_socket_send_buffer_size(&self.tcp, EVENT_SEND_BUFFER_BYTES);
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.traffic.set_arrived(true);
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.prepare_for_events();
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.bound(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.prepare_for_events();
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, lingering, .. } = &mut *self;
        if lingering.is_none() {
            ready!(Pin::new(&mut *tcp).poll_shutdown(cx))?;
        }
        let lingering =
            lingering.get_or_insert_with(|| Lingering { deadline: Box::pin(sleep(LINGER_TIMEOUT)), read: 0 });
        let mut discarded = [0; 8 * 1024];
        while lingering.read < LINGER_BYTES && lingering.deadline.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut discarded);
            match ready!(Pin::new(&mut *tcp).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => lingering.read += buf.filled().len(),
                // The client has closed too, or is gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
