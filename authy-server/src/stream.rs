//! Answers that go on: server-sent events (WHATWG HTML, section 9.2).

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Display,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

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
use tokio::sync::watch;

use crate::{limit, reply::Response};

/// How many streams may be open: each is a connection that nothing but its client ends.
const STREAMS: usize = 4096;

/// How many of them one address may have: enough for the services of one machine, too few to take them all.
const STREAMS_OF_ONE: usize = 128;

/// The streams that are open.
pub(crate) struct Streams {
    open: Arc<Mutex<Open>>,
    ended: watch::Sender<bool>,
}

/// How many each address has.
type Open = HashMap<IpAddr, usize>;

/// A stream's place among those that may be open, until it is dropped.
pub(crate) struct Place {
    open: Arc<Mutex<Open>>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = open.entry(self.address) {
            match entry.get() {
                0..=1 => drop(entry.remove()),
                count => drop(entry.insert(count - 1)),
            }
        }
    }
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self { open: Arc::default(), ended: watch::Sender::new(false) }
    }

    /// Takes a place, before anything is read for the stream.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when too many are open.
    pub(crate) fn enter(&self, address: IpAddr) -> Result<Place> {
        let address = limit::network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = open.get(&address).copied().unwrap_or(0);
        if of_address >= STREAMS_OF_ONE || open.values().sum::<usize>() >= STREAMS {
            return Err(Error::new(ErrorKind::Overloaded, "too many event streams are open"));
        }
        open.insert(address, of_address + 1);
        drop(open);
        Ok(Place { open: self.open.clone(), address })
    }

    /// Ends every stream, so that their connections can close.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Opens a stream of events, as [`event`] writes them.
    pub(crate) fn open(&self, place: Place, events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
        let mut ended = self.ended.subscribe();
        let end = async move { drop(ended.wait_for(|ended| *ended).await) };
        let frames = events.take_until(Box::pin(end)).map(move |bytes| {
            let _ = &place;
            Ok::<_, Error>(Frame::data(bytes))
        });
        let mut response = Response::new(Either::Right(StreamBody::new(frames).boxed_unsync()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
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
    fn one_address_cannot_take_every_place() {
        let streams = Streams::new();
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let mut places: Vec<_> = (0..STREAMS_OF_ONE).map(|_| streams.enter(address(1)).unwrap()).collect();
        assert_eq!(streams.enter(address(1)).err().unwrap().kind(), ErrorKind::Overloaded);
        places.push(streams.enter(address(2)).unwrap());
        places.remove(0);
        let again = streams.enter(address(1)).unwrap();
        drop((places, again));
        assert!(streams.open.lock().unwrap().is_empty());
    }

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
