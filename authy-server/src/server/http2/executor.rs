//! The tasks of the streams of a connection: each answers one request.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use hyper::rt::Executor;
use tokio::time::sleep_until;

use super::{activity::Activity, answer::Progress};

/// Starts the task of each stream.
#[derive(Clone)]
pub(super) struct StreamExecutor(Arc<Activity>);

impl StreamExecutor {
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        Self(activity)
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let in_flight = self.0.begin();
        tokio::spawn(async move {
            answer(stream).await;
            drop(in_flight);
        });
    }
}

/// Runs the task of a stream to its end, or until the client does not take the answer in time. What is dropped then resets the stream;
/// the others of the connection go on.
async fn answer<F: Future<Output = ()>>(stream: F) {
    let progress = Progress::default();
    let mut stream = pin!(progress.scope(stream));
    let mut stalled = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(deadline) = progress.deadline() else {
            stalled = None;
            return Poll::Pending;
        };
        let sleep = stalled.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).map(|()| tracing::debug!("a client does not take its answer: the stream is reset"))
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use authy_core::Error;
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Either, Full, StreamBody};
    use hyper::body::Frame;
    use tokio::time::timeout;

    use super::*;
    use crate::server::http2::answer::Answer;

    #[tokio::test]
    async fn a_stream_ends_when_its_client_takes_nothing_and_not_while_it_has_nothing_to_take() {
        const SHORT: Duration = Duration::from_millis(50);
        let stalls = answer(async {
            let body = Either::Left(Full::from("text"));
            let mut answer = Answer::new(body, Progress::of_this_stream(SHORT));
            // hyper, which waits for the client.
            drop(answer.frame().await);
            std::future::pending().await
        });
        timeout(Duration::from_secs(20), stalls).await.expect("it goes on");
        let waits = answer(async {
            let events = futures_util::stream::pending::<Result<Frame<Bytes>, Error>>();
            let body = Either::Right(StreamBody::new(events).boxed_unsync());
            let mut answer = Answer::new(body, Progress::of_this_stream(SHORT));
            drop(answer.frame().await);
        });
        assert!(timeout(4 * SHORT, waits).await.is_err());
    }
}
