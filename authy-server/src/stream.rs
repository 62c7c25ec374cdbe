//! Answers that go on: server-sent events (WHATWG HTML, section 9.2).

use std::{convert::Infallible, fmt::Display, sync::Arc};

use authy_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Either, StreamBody};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use crate::reply::Response;

/// How many streams may be open: each is a connection that nothing but its client ends.
const STREAMS: usize = 4096;

/// The streams that are open.
pub(crate) struct Streams {
    free: Arc<Semaphore>,
    ended: watch::Sender<bool>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(STREAMS)), ended: watch::Sender::new(false) }
    }

    /// Ends every stream, so that their connections can close.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Opens a stream of events, as [`event`] writes them.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when too many are open.
    pub(crate) fn open(&self, events: impl Stream<Item = Bytes> + Send + 'static) -> Result<Response> {
        let place = self.free.clone().try_acquire_owned();
        let place = place.map_err(|_| Error::new(ErrorKind::Overloaded, "too many event streams are open"))?;
        let mut ended = self.ended.subscribe();
        let end = async move { drop(ended.wait_for(|ended| *ended).await) };
        let frames = events.take_until(Box::pin(end)).map(move |bytes| {
            let _ = &place;
            Ok::<_, Infallible>(Frame::data(bytes))
        });
        let mut response = Response::new(Either::Right(StreamBody::new(frames).boxed_unsync()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// Whether a client would rather have a stream of events.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
    let mut types = accepted.flat_map(|line| line.split(',')).filter_map(|range| range.split(';').next());
    types.any(|name| name.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// Where a client that lost its stream wants to go on.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok()
}

/// One event. Neither JSON nor an id of ours has a line break in it.
pub(crate) fn event(id: Option<&dyn Display>, data: &impl Serialize) -> Bytes {
    // A type of the wire is made of strings, numbers and lists, so writing it cannot fail.
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}data: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_wanted_by_whoever_accepts_one() {
        let wanted =
            |accept: &'static str| is_wanted(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]));
        for accept in ["text/event-stream", "application/json, Text/Event-Stream;q=0.9"] {
            assert!(wanted(accept), "{accept}");
        }
        for accept in ["", "*/*", "application/json", "text/event-streams"] {
            assert!(!wanted(accept), "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
