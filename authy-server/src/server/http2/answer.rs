//! The body of an answer, in pieces, and whether it waits for its client.
//!
//! A client decides for each answer how many bytes of it it takes. The connection is written to all the while, so that the
//! timeout of its writes does not notice an answer that is not taken.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, header::CONTENT_LENGTH};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::reply::ResponseBody;

/// Size of a piece in bytes, that of a frame. hyper hands a piece over when the client takes at least one byte of it, and the
/// rest of the piece waits where nobody measures it.
const PIECE_BYTES: usize = 16 * 1024;

tokio::task_local! {
    /// That of the stream whose task this is.
    static PROGRESS: Progress;
}

/// Until when the client must take the next piece of an answer.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    timeout: Duration,
    deadline: Option<Instant>,
}

impl Progress {
    /// Runs the task of a stream, which finds this as [`of_this_stream`](Self::of_this_stream).
    pub(super) fn scope<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        PROGRESS.scope(self.clone(), task)
    }

    /// Returns that of the current task, for an answer that has this time for each piece.
    pub(super) fn of_this_stream(timeout: Duration) -> Self {
        let progress = PROGRESS.try_with(Self::clone).unwrap_or_default();
        progress.change(|waiting| waiting.timeout = timeout);
        progress
    }

    /// Returns until when the client must take what is there; `None` when nothing waits for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).deadline
    }

    fn wait_for_client(&self) {
        self.change(|waiting| waiting.deadline = Some(Instant::now() + waiting.timeout));
    }

    fn wait_for_body(&self) {
        self.change(|waiting| waiting.deadline = None);
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The body of an answer.
pub(super) struct Answer {
    /// `None` for HEAD.
    body: Option<ResponseBody>,
    /// What is left of the last part of the body.
    rest: Bytes,
    progress: Progress,
}

impl Answer {
    pub(super) fn new(body: ResponseBody, progress: Progress) -> Self {
        Self { body: Some(body), rest: Bytes::new(), progress }
    }
}

/// Returns the answer to HEAD, which has the length of what GET would send, and sends none of it (RFC 9110, section 9.3.2).
pub(super) fn without_body(mut response: Response<Answer>) -> Response<Answer> {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    response.body_mut().body = None;
    response
}

impl Body for Answer {
    type Data = Bytes;
    type Error = <ResponseBody as Body>::Error;

    /// Is called when the client has taken some of the previous piece.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            this.progress.wait_for_body();
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => this.rest = bytes,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        this.progress.wait_for_client();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        // Without one, the length is unknown: of an exact one, hyper would make a header.
        let Some(body) = &self.body else { return SizeHint::new() };
        let (body, rest) = (body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Either, Full};

    use super::*;

    #[tokio::test]
    async fn a_body_comes_in_pieces_and_waits_for_the_client_between_them() {
        let text = "authy".repeat(10_000);
        let progress = Progress::default();
        let mut answer = Answer::new(Either::Left(Full::from(text.clone())), progress.clone());
        let mut received = Vec::new();
        while !answer.is_end_stream() {
            assert_eq!(answer.size_hint().exact(), Some((text.len() - received.len()) as u64));
            let piece = answer.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!((1..=PIECE_BYTES).contains(&piece.len()) && progress.deadline().is_some());
            received.extend_from_slice(&piece);
        }
        assert_eq!(received, text.as_bytes());
        assert!(answer.frame().await.is_none() && progress.deadline().is_none());
    }
}
