//! Answers that go on: server-sent events (WHATWG HTML, section 9.2).

use std::{fmt::Display, iter, net::IpAddr};

use authy_core::{Authenticator as _, Authy, Error, Result, UserId, api::access_token};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Either, StreamBody};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::watch;

use crate::{HttpConfig, reply::Response};

mod place;

pub(crate) use place::Place;
use place::Places;
pub use place::{StreamLimits, StreamShare};

/// A comment, which parsers of event streams skip, in front of each event while the anonymous places are crowded. The buffers of a
/// client that never reads have room for a long time of heartbeats; 2 KiB a second fill Linux's default ones in less than 90
/// seconds, and 512 streams carry at most 1 MiB of them a second.
static PADDING: [u8; 2048] = {
    let mut comment = [b' '; 2048];
    comment[0] = b':';
    comment[2047] = b'\n';
    comment
};

/// The streams that are open.
pub(crate) struct Streams {
    places: Places,
    ended: watch::Sender<bool>,
}

/// Marks an answer that goes on as long as its client takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventStream;

impl Streams {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        let places = Places::new(config.streams.clone(), config.follower_networks.clone());
        Self { places, ended: watch::Sender::new(false) }
    }

    /// Takes a place, before anything is read for the stream.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`](authy_core::ErrorKind::Overloaded) when too many are open.
    pub(crate) fn enter(&self, address: IpAddr, user: Option<UserId>) -> Result<Place> {
        self.places.take(address, user)
    }

    /// Ends every stream, so that their connections can close.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Opens a stream of events, as [`event`] writes them.
    pub(crate) fn open(&self, place: Place, events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
        let mut ended = self.ended.subscribe();
        let end = async move { drop(ended.wait_for(|ended| *ended).await) };
        let padded = events.take_until(Box::pin(end)).flat_map(move |event| {
            let padding = place.is_crowded().then_some(Bytes::from_static(&PADDING));
            stream::iter(padding.into_iter().chain(iter::once(event)))
        });
        let frames = padded.map(|bytes| Ok::<_, Error>(Frame::data(bytes)));
        let mut response = Response::new(Either::Right(StreamBody::new(frames).boxed_unsync()));
        response.extensions_mut().insert(EventStream);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Returns whose good token a request has. The endpoint is public, so any other token is ignored, as it is everywhere: one that
/// is not good, several that differ, and one that cannot be checked now name nobody.
pub(crate) async fn user(authy: &Authy, headers: &HeaderMap) -> Option<UserId> {
    let identity = authy.authenticate(access_token(headers).ok()?).await.ok()?;
    Some(identity.public_id)
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
