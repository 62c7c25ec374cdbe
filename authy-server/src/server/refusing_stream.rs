//! Sends hyper's refusals of HTTP/1.1 as problem documents: see [`refusal`]. Above TLS, because below it nothing can be read. And
//! gives hyper what was read while the connection was parked.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::refusal;

/// A connection on which hyper speaks HTTP/1.1.
pub(super) struct RefusingStream<S> {
    inner: S,
    /// What is left to write of a problem document in place of hyper's refusal.
    refusal: Vec<u8>,
    /// What is read first.
    before: Bytes,
}

impl<S: AsyncWrite + Unpin> RefusingStream<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, refusal: Vec::new(), before: Bytes::new() }
    }

    /// Puts bytes back that were read.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.before = bytes;
    }

    /// Writes the problem document in place of a refusal of hyper's; `None` when `answer` is something else.
    fn refuse(&mut self, cx: &mut Context<'_>, answer: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.refusal.is_empty() {
            self.refusal = refusal::with_problem(answer)?;
        }
        while !self.refusal.is_empty() {
            match Pin::new(&mut self.inner).poll_write(cx, &self.refusal) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(written)) => drop(self.refusal.drain(..written)),
                unfinished => return Some(unfinished),
            }
        }
        Some(Poll::Ready(Ok(answer.len())))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RefusingStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let length = self.before.len().min(buf.remaining());
        buf.put_slice(&self.before.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RefusingStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.refuse(cx, buf) {
            Some(refused) => refused,
            None => Pin::new(&mut self.inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match bufs.first().and_then(|head| self.refuse(cx, head)) {
            Some(refused) => refused,
            None => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
