//! Event streams (server-sent events; WHATWG HTML, section 9.2).

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

pub(crate) use place::StreamPlace;
use place::StreamPlaces;
pub use place::{StreamLimits, StreamShare};

/// A comment, which parsers skip, in front of each event while the anonymous places are crowded. Without it, the
/// heartbeats of a client that never reads would fit its buffers for a long time; 2 KiB per second fill Linux's default
/// buffers in less than 90 seconds, and cost 512 streams at most 1 MiB per second.
static PADDING: [u8; 2048] = {
    let mut comment = [b' '; 2048];
    comment[0] = b':';
    comment[2047] = b'\n';
    comment
};

/// The open event streams.
pub(crate) struct Streams {
    places: StreamPlaces,
    ended: watch::Sender<bool>,
}

/// Marks the answer that is an event stream, for the connection that writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsEventStream;

impl Streams {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        let places = StreamPlaces::new(config.streams.clone(), config.follower_networks.clone());
        Self { places, ended: watch::Sender::new(false) }
    }

    /// Takes a place, before anything is read from the database for the stream.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`](authy_core::ErrorKind::Overloaded) when too many are open.
    pub(crate) fn enter(&self, address: IpAddr, user: Option<UserId>, is_certified: bool) -> Result<StreamPlace> {
        if is_certified { self.places.take_certified(address, user) } else { self.places.take(address, user) }
    }

    /// Returns the number of open streams of each kind of followers.
    pub(crate) fn open_streams(&self) -> [(&'static str, usize); 3] {
        self.places.taken()
    }

    /// Ends every stream, so that their connections can close.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Opens a stream of events, as [`event`] writes them.
    pub(crate) fn open(&self, place: StreamPlace, events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
        let mut ended = self.ended.subscribe();
        let end = async move { drop(ended.wait_for(|ended| *ended).await) };
        let padded = events.take_until(Box::pin(end)).flat_map(move |event| {
            let padding = place.is_crowded().then_some(Bytes::from_static(&PADDING));
            stream::iter(padding.into_iter().chain(iter::once(event)))
        });
        let frames = padded.map(|bytes| Ok::<_, Error>(Frame::data(bytes)));
        let mut response = Response::new(Either::Right(StreamBody::new(frames).boxed_unsync()));
        response.extensions_mut().insert(IsEventStream);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Returns the owner of a request's token. The endpoint is public, so a token is ignored when it is invalid, when
/// several differ, and when it cannot be checked now.
pub(crate) async fn user(authy: &Authy, headers: &HeaderMap) -> Option<UserId> {
    let identity = authy.authenticate(access_token(headers).ok()?).await.ok()?;
    Some(identity.public_id)
}

/// Returns whether a client accepts an event stream.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
    let mut types = accepted.flat_map(|line| line.split(',')).filter_map(|range| range.split(';').next());
    types.any(|name| name.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// Returns the id of the last event of a client that reconnects.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok()
}

/// Writes an event. JSON and the ids of events contain no line break.
pub(crate) fn event(id: Option<&dyn Display>, data: &impl Serialize) -> Bytes {
    // The types of the wire consist of strings, numbers and lists, so writing them cannot fail.
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}data: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_wanted_by_clients_that_accept_one() {
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
