//! The body of a request, and whether it has been read.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The body of a request, which knows whether it has been read to its end.
///
/// When a part of it is left, the connection cannot be used for a next request: what comes next is the rest of the body.
pub(super) struct RequestBody {
    body: Incoming,
    has_ended: bool,
}

impl RequestBody {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, has_ended: false }
    }

    /// Returns whether a part has not been read. A body in chunks ends with the last chunk, which is empty.
    pub(super) fn is_left(&self) -> bool {
        !self.has_ended && !self.body.is_end_stream()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.has_ended = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
