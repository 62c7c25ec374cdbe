//! The server process that was announced for a connection.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio_postgres::{
    Client,
    tls::{ChannelBinding, TlsConnect, TlsStream},
};

/// Enough for a cancel request of 16 bytes and the request for TLS of 8.
const REQUEST_SIZE: usize = 64;

/// Returns the ID of the process that was announced when the connection began (`BackendKeyData`).
///
/// The client keeps it for cancel requests. So it is read from one, which goes to this process instead of the server.
pub(super) async fn announced_backend(client: &Client) -> Option<i32> {
    let (mut ours, theirs) = duplex(REQUEST_SIZE);
    // The answer to a request for TLS: accepted.
    ours.write_all(b"S").await.ok()?;
    client.cancel_token().cancel_query_raw(theirs, Unencrypted).await.ok()?;
    let mut sent = Vec::new();
    ours.read_to_end(&mut sent).await.ok()?;
    let (process, _secret) = sent.last_chunk::<8>()?.split_first_chunk::<4>()?;
    Some(i32::from_be_bytes(*process))
}

/// TLS that does not encrypt.
struct Unencrypted;

struct Stream(DuplexStream);

impl TlsConnect<DuplexStream> for Unencrypted {
    type Stream = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(Stream(stream)))
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
