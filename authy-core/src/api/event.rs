//! Events. The audit trail and the messages to sinks are the same rows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Field, Reply, endpoints, page::PageSize, requests};
use crate::{
    Access, EventId, Invalid, SessionId, UserId,
    access::ADMIN,
    time::{HttpDate, Timestamp},
};

mod cursor;
pub mod detail;
mod kind;

pub use cursor::EventCursor;
pub use kind::{DetailVisitor, EventKind, UnknownKind};

const SUBJECT: &str = "event";

endpoints! {
    /// List the events of the audit trail, newest first or oldest first.
    ///
    /// To export the trail incrementally, begin with `order=asc` (and `since`, unless from the beginning). Then send the `next` of
    /// each response as `after` of the next request, with the same other parameters. In this order every response has a `next`,
    /// also when nothing is new: store it, and continue from it later. A response with fewer events than `limit` contains all that
    /// there are for now.
    ///
    /// An ascending list ends before the events of transactions that are still open, because such a transaction can add an event
    /// that is older than those already listed. So an export neither skips nor repeats an event, with two exceptions. An event
    /// that is written after the clock of the database was set back is skipped: to be safe from that, repeat the last minutes
    /// (`since`). When the event of `after` does not exist any more, because the database was restored to an earlier time or
    /// failed over to a server that was behind, an hour of events is repeated. Recognize events by `event_id`.
    ListEvents: GET "/authy/event" () EventQuery => EventPage, Access::Level(ADMIN); fails InvalidInput;
}

wire! {
    /// An event. It never contains a secret.
    pub struct EventView {
        /// Event ID, ordered by time. Use it to deduplicate.
        pub event_id: EventId,
        /// The kind of event. A later version can add kinds.
        pub kind: EventKind,
        /// The time of the event.
        #[serde(with = "HttpDate")]
        pub happened: DateTime<Utc>,
        /// The exact time, in microseconds since 1970. `happened` has whole seconds, and one second can have many events.
        #[cfg_attr(feature = "schema", schemars(example = 1_560_247_389_123_456_i64))]
        pub happened_micros: i64,
        /// The user who caused the event; `null` for an anonymous caller or the operator.
        #[cfg_attr(feature = "schema", schemars(example = ()))]
        pub actor: Option<UserId>,
        /// The kind of actor: `anonymous`, `user` or `operator`.
        #[cfg_attr(feature = "schema", schemars(example = &"anonymous"))]
        pub actor_kind: String,
        /// The user that the event is about.
        pub subject: Option<UserId>,
        /// The session that caused the event, or that it is about.
        #[cfg_attr(feature = "schema", schemars(example = ()))]
        pub session_id: Option<SessionId>,
        /// The remote address of the actor.
        #[cfg_attr(feature = "schema", schemars(example = &"203.0.113.7"))]
        pub ip: Option<String>,
        /// The `User-Agent` of the actor.
        #[cfg_attr(feature = "schema", schemars(example = &"curl/8.5.0"))]
        pub user_agent: Option<String>,
        /// The ID of the request that caused the event. The server's log contains it.
        #[cfg_attr(feature = "schema", schemars(example = &"5f1c9e0a"))]
        pub request_id: Option<String>,
        /// Further data, which depends on `kind`.
        pub detail: Map<String, Value>,
    }

    /// A page of the audit trail.
    pub struct EventPage {
        /// The events, in the order of the request.
        pub events: Vec<EventView>,
        /// The value of `after` for the next page. Newest first, the last page has none; oldest first, every page has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<EventCursor>,
    }
}

impl EventView {
    /// Returns the position of the event: as `after` of a query, it lists the events behind this one.
    pub fn cursor(&self) -> EventCursor {
        EventCursor { happened: self.happened_micros, event_id: self.event_id }
    }

    /// Returns the detail as a type of [`detail`]. [`EventKind`] names the type of each kind.
    ///
    /// # Errors
    /// When the detail is not of this type.
    pub fn detail_as<'de, D: Deserialize<'de>>(&'de self) -> serde_json::Result<D> {
        D::deserialize(&self.detail)
    }
}

requests! {
    /// A filter of the audit trail.
    #[derive(Default)]
    pub struct EventQuery {
        /// Only events whose actor or subject is this user.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub user: Option<UserId>,
        /// Only events of this kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kind: Option<EventKind>,
        /// Only events at this time or later: RFC 3339, such as `2019-06-11T10:03:09.123456Z`, or RFC 1123 as in responses.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub since: Option<Timestamp>,
        /// `desc` lists the newest events first, which is the default, and `asc` the oldest.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub order: Option<EventOrder>,
        /// Only events after this position in the order of the list: `next` of an earlier page.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub after: Option<EventCursor>,
        /// Maximum number of events per page: 1 to 100, default 20.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub limit: Option<PageSize>,
    }
}

/// The order of a list of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum EventOrder {
    /// Newest first.
    #[default]
    #[serde(rename = "desc")]
    Descending,
    /// Oldest first, for an incremental export.
    #[serde(rename = "asc")]
    Ascending,
}

impl Field for EventOrder {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        match text {
            "desc" => Ok(Self::Descending),
            "asc" => Ok(Self::Ascending),
            _ => Err(Invalid::new("invalid_order", "must be asc or desc")),
        }
    }
}

described!(EventOrder, { "type": "string", "enum": ["desc", "asc"], "default": "desc" });

impl Reply for EventPage {}
