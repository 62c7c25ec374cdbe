//! A connection as hyper sees it, with two things mended on the way out.
//!
//! What hyper cannot parse it refuses by itself, with an empty answer: here it gets the problem document that every error
//! has. And when a server closes while a client is still sending, the client's system may throw away the answer that says
//! what was wrong, so what still comes is read for a while (RFC 9112, section 9.6).

use std::{
    future::Future as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use authy_core::{Error, ErrorKind, api::Problem};
use http::HeaderMap;
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

/// A connection.
pub(super) struct Stream {
    tcp: TcpStream,
    // What is left to write of a refusal in our own words.
    refusal: Vec<u8>,
    closing: Option<Closing>,
}

struct Closing {
    deadline: Pin<Box<Sleep>>,
    read: usize,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, refusal: Vec::new(), closing: None }
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
        match self.refuse(cx, buf) {
            Some(refused) => refused,
            None => Pin::new(&mut self.tcp).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match bufs.first().and_then(|head| self.refuse(cx, head)) {
            Some(refused) => refused,
            None => Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs),
        }
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
