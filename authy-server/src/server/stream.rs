//! A connection as hyper sees it, with three things mended on the way out.
//!
//! What hyper cannot parse it refuses by itself, with an empty answer: here it gets the problem document that every error
//! has. And when a server closes while a client is still sending, the client's system may throw away the answer that says
//! what was wrong, so what still comes is read for a while (RFC 9112, section 9.6). And a client that takes no bytes of its
//! answer is not waited for without end.

use std::{
    future::Future as _,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use authy_core::{Error, ErrorKind, api::Problem};
use http::HeaderMap;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::request;

/// How long what comes after the last answer is read.
const PATIENCE: Duration = Duration::from_secs(2);

/// How much of it is read.
const LIMIT: usize = 16 * 1024 * 1024;

/// How many bytes of an event stream may wait in the kernel, which takes twice as much memory for them. The less, the sooner a
/// client is found that never reads; still enough for 16 MB a second to a follower that is a millisecond away.
const SEND_BUFFER: usize = 16 * 1024;

/// A connection.
pub(super) struct Stream {
    tcp: TcpStream,
    // What is left to write of a refusal in our own words.
    refusal: Vec<u8>,
    closing: Option<Closing>,
    timeouts: WriteTimeouts,
    usage: Usage,
    has_events: bool,
    // When the client has taken nothing for too long; there while something waits to be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// For how long a client may take no bytes while some wait for it.
#[derive(Clone, Copy)]
pub(super) struct WriteTimeouts {
    /// Of an ordinary answer.
    pub(super) answer: Duration,
    /// Of an event stream.
    pub(super) events: Duration,
}

/// What a connection is used for, as far as that changes how it is written to.
#[derive(Clone, Default)]
pub(super) struct Usage(Arc<AtomicBool>);

impl Usage {
    /// From now on it carries an event stream.
    pub(super) fn begin_events(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Closing {
    deadline: Pin<Box<Sleep>>,
    read: usize,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, timeouts: WriteTimeouts, usage: Usage) -> Self {
        let (refusal, closing, stalled) = (Vec::new(), None, None);
        Self { tcp, refusal, closing, timeouts, usage, has_events: false, stalled }
    }

    /// Gives up when the client has taken nothing for too long.
    fn bound<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let time = if self.has_events { self.timeouts.events } else { self.timeouts.answer };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(stalled.as_mut().poll(cx));
        // What the kernel still has for the client is dropped as well.
        let _ = sockopt::set_socket_linger(&self.tcp, Some(Duration::ZERO));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no bytes")))
    }

    /// Prepares the connection for an event stream when one has begun.
    fn look_at_usage(&mut self) {
        if self.has_events || !self.usage.0.load(Ordering::Relaxed) {
            return;
        }
        self.has_events = true;
        // Without it a stream works, and it takes longer until one that nobody reads is found.
        let _ = sockopt::set_socket_send_buffer_size(&self.tcp, SEND_BUFFER);
    }

    /// Writes our own words for a refusal of hyper's; `None` when `answer` is something else.
    fn refuse(&mut self, cx: &mut Context<'_>, answer: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.refusal.is_empty() {
            self.refusal = refusal(answer)?;
        }
        while !self.refusal.is_empty() {
            match Pin::new(&mut self.tcp).poll_write(cx, &self.refusal) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(written)) => drop(self.refusal.drain(..written)),
                unfinished => return Some(unfinished),
            }
        }
        Some(Poll::Ready(Ok(answer.len())))
    }
}

/// The same refusal with a problem document, when `answer` is one that hyper made: an error without a body. Ours all have
/// one.
fn refusal(answer: &[u8]) -> Option<Vec<u8>> {
    const EMPTY: &str = "\r\ncontent-length: 0\r\n";
    let is_error = answer.starts_with(b"HTTP/1.") && answer.get(8..10) == Some(b" 4");
    let head = std::str::from_utf8(answer).ok().filter(|head| is_error && head.ends_with("\r\n\r\n"))?;
    let (status, (before, after)) = (head.get(9..12)?.parse().ok()?, head.split_once(EMPTY)?);
    let detail = match status {
        431 => "the head of the request is larger than 64 KiB, or has more than 100 fields",
        414 => "the path and query are too long",
        _ => "this is no HTTP request",
    };
    let id = request::id(&HeaderMap::new());
    let id = id.to_str().ok()?;
    let mut problem = Problem::of(&Error::new(ErrorKind::MalformedRequest, detail), id);
    // hyper distinguishes what is one kind to us.
    problem.status = status;
    let body = serde_json::to_string(&problem).ok()?;
    tracing::debug!(request_id = id, status, detail, "refused a request");
    let length = body.len();
    let answer = format!(
        "{before}\r\ncontent-length: {length}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nx-request-id: {id}\r\n{after}{body}"
    );
    Some(answer.into_bytes())
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.look_at_usage();
        let written = match self.refuse(cx, buf) {
            Some(refused) => refused,
            None => Pin::new(&mut self.tcp).poll_write(cx, buf),
        };
        self.bound(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.look_at_usage();
        let written = match bufs.first().and_then(|head| self.refuse(cx, head)) {
            Some(refused) => refused,
            None => Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs),
        };
        self.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, closing, .. } = &mut *self;
        if closing.is_none() {
            ready!(Pin::new(&mut *tcp).poll_shutdown(cx))?;
        }
        let closing = closing.get_or_insert_with(|| Closing { deadline: Box::pin(sleep(PATIENCE)), read: 0 });
        let mut scrap = [0; 8 * 1024];
        while closing.read < LIMIT && closing.deadline.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(&mut *tcp).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => closing.read += buf.filled().len(),
                // The client has closed too, or is gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
