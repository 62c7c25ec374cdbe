//! A connection to a mail server that may become encrypted later (STARTTLS).

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, ToSocketAddrs, lookup_host},
    time::timeout,
};

/// Number of bytes that are read at a time.
const MAX_READ_BYTES: usize = 1024;

/// Reads no further than to the end of a line. lettre keeps what it has read before the handshake, and takes it for answers
/// after the handshake: anybody in between could add answers to the last line that is not encrypted (RFC 3207, section 6).
/// Here what follows that line reaches the handshake, which fails. The encrypted part is read in the same way, in more pieces
/// than it needs.
#[derive(Debug)]
pub(super) struct LineStream(TcpStream);

impl LineStream {
    /// Connects to the first of the addresses that answers, each within a time.
    pub(super) async fn connect(server: impl ToSocketAddrs, time: Duration) -> io::Result<Self> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host(server).await? {
            match timeout(time, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(Self(stream)),
                Ok(Err(error)) => failure = error,
                Err(elapsed) => failure = elapsed.into(),
            }
        }
        Err(failure)
    }
}

impl AsyncRead for LineStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.get_mut().0;
        let mut bytes = [0; MAX_READ_BYTES];
        let most = bytes.len().min(into.remaining());
        let mut ahead = ReadBuf::new(bytes.get_mut(..most).unwrap_or_default());
        ready!(stream.poll_peek(context, &mut ahead))?;
        let ahead = ahead.filled();
        let line = ahead.iter().position(|byte| *byte == b'\n').map_or(ahead.len(), |end| end + 1);
        let mut read = ReadBuf::new(bytes.get_mut(..line).unwrap_or_default());
        ready!(Pin::new(stream).poll_read(context, &mut read))?;
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}

impl AsyncTokioStream for LineStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}
