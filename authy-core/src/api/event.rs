//! Events. The audit trail and the messages to sinks are the same rows.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Field, Reply, endpoints, page::PageSize, requests};
use crate::{Access, EventId, Invalid, SessionId, UserId, access::ADMIN, time::HttpDate};

const SUBJECT: &str = "event";

endpoints! {
    /// List the events of the audit trail, newest first.
    ListEvents: GET "/authy/event" () EventQuery => EventPage, Access::Level(ADMIN); fails InvalidInput;
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal;)+) => {
        /// The kind of an event. Its name is also the routing key of messages.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventKind { $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+ }

        impl EventKind {
            /// All kinds.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name,)+];

            /// Returns the name, which is also the routing key of messages.
            pub fn as_str(self) -> &'static str {
                match self { $(EventKind::$name => $text,)+ }
            }

            /// Returns the meaning of the kind and of its `detail`.
            pub fn meaning(self) -> &'static str {
                match self { $(EventKind::$name => concat!($($doc, "\n"),+).trim_ascii(),)+ }
            }
        }

        impl FromStr for EventKind {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text {
                    $($text => Ok(EventKind::$name),)+
                    _ => Err(Invalid::new("unknown_kind", "is not a kind of event")),
                }
            }
        }

        described!(EventKind, { "type": "string", "enum": [$($text),+] });
    };
}

kinds! {
    /// A user signed up or was created. `detail`: `role`; `code_id` of the code that confirms the address; `validated` when
    /// the creator vouches for the address; `invited` when the user has no password yet: a `reset.requested` follows.
    UserRegistered "user.registered";
    /// A user was deleted. The row remains.
    UserDeleted "user.deleted";
    /// A deleted user was restored.
    UserRestored "user.restored";
    /// The personal data of a user was erased permanently.
    UserErased "user.erased";
    /// An email address was confirmed.
    UserValidated "user.validated";
    /// A user requested another code to confirm the email address. `detail`: `code_id`.
    ValidationRequested "validation.requested";
    /// A password reset was requested, or a user was invited to choose the first password. Without a subject when no account
    /// has the address. `detail`: `code_id`, unless the code was returned to the operator.
    ResetRequested "reset.requested";
    /// A password was changed. `detail`: `reset`, whether a reset code was used.
    PasswordChanged "password.changed";
    /// A new email address was requested, and is not in effect yet. `detail`: `code_id`.
    EmailRequested "email.requested";
    /// An email address was changed, and is confirmed.
    EmailChanged "email.changed";
    /// The account lost an unconfirmed email address, because another account confirmed it. All its sessions have ended.
    EmailReleased "email.released";
    /// A login. `detail`: `level`, and `new_device` when the device had not logged in before.
    SessionOpened "session.opened";
    /// A refresh token was exchanged. `detail`: `generation`.
    SessionRefreshed "session.refreshed";
    /// A used refresh token was presented again, so the session was ended. `detail`: `generation`.
    SessionReplayed "session.replayed";
    /// A session was ended. `detail`: `reason`, which is `too_many` when a login ended it because its user had 100 live sessions
    /// (the least recently used session is ended).
    SessionEnded "session.ended";
    /// Several sessions of a user were ended.
    SessionsEnded "sessions.ended";
    /// An access token of a user was issued to the operator, in a session of its own. `detail`: `level`.
    TokenIssued "token.issued";
    /// Too many wrong passwords in a row: until a success, each further attempt has to wait. Sent once per series. Without a
    /// subject when no account has the name. `detail`: `of` (`login` from unknown devices, a known `device`, or the `password`
    /// that is required for a change), `failures`.
    AccountThrottled "account.throttled";
    /// A role was created. `detail`: `role`, `level`.
    RoleCreated "role.created";
    /// A role was deleted. `detail`: `role`.
    RoleDeleted "role.deleted";
    /// A role was granted. `detail`: `role`.
    RoleGranted "role.granted";
    /// A role was revoked from a user. `detail`: `role`.
    RoleRevoked "role.revoked";
    /// A signing key was created. `detail`: `kid`, `alg`, `state`.
    KeyCreated "key.created";
    /// A signing key became the active one: it signs from now on. `detail`: `kid`.
    KeyActivated "key.activated";
    /// A signing key was retired. `detail`: `kid`.
    KeyRetired "key.retired";
    /// A signing key was revoked, and all tokens that it signed. `detail`: `kid`.
    KeyRevoked "key.revoked";
    /// The signing keys were encrypted with another master key. `detail`: `keys`, their number.
    KeyResealed "key.resealed";
    /// An operator had a stuck event delivered again. `detail`: `sink`, `event_id`.
    DeliveryRetried "delivery.retried";
    /// An operator skipped a stuck event. `detail`: `sink`, `event_id`.
    DeliverySkipped "delivery.skipped";
}

impl Field for EventKind {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

wire! {
    /// An event. It never contains a secret.
    pub struct EventView {
        /// Event ID, ordered by time. Use it to deduplicate.
        pub event_id: EventId,
        /// The kind of event. A later version can add kinds.
        pub kind: String,
        /// The time of the event.
        #[serde(with = "HttpDate")]
        pub happened: DateTime<Utc>,
        /// The exact time, in microseconds since 1970. `happened` has whole seconds, and one second can have many events.
        pub happened_micros: i64,
        /// The user who caused the event; `null` for an anonymous caller or the operator.
        pub actor: Option<UserId>,
        /// The kind of actor: `anonymous`, `user` or `operator`.
        pub actor_kind: String,
        /// The user that the event is about.
        pub subject: Option<UserId>,
        /// The session that caused the event, or that it is about.
        pub session_id: Option<SessionId>,
        /// The remote address of the actor.
        pub ip: Option<String>,
        /// The `User-Agent` of the actor.
        pub user_agent: Option<String>,
        /// The ID of the request that caused the event. The server's log contains it.
        pub request_id: Option<String>,
        /// Further data, which depends on `kind`.
        pub detail: Map<String, Value>,
    }

    /// A page of the audit trail.
    pub struct EventPage {
        /// The events, newest first.
        pub events: Vec<EventView>,
        /// The value of `after` for the next page; absent on the last page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<EventCursor>,
    }
}

impl EventView {
    /// Returns the kind, if this version knows it.
    pub fn known_kind(&self) -> Option<EventKind> {
        self.kind.parse().ok()
    }
}

requests! {
    /// A filter of the audit trail.
    pub struct EventQuery {
        /// Only events whose actor or subject is this user.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub user: Option<UserId>,
        /// Only events of this kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kind: Option<EventKind>,
        /// Only events older than this position: `next` of an earlier page.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub after: Option<EventCursor>,
        /// Maximum number of events per page: 1 to 100, default 20.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub limit: Option<PageSize>,
    }
}

/// A position in the audit trail: the time of the last event of a page, in microseconds since 1970, and its ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventCursor {
    /// Microseconds since 1970.
    pub happened: i64,
    /// The event ID.
    pub event_id: EventId,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.happened, self.event_id)
    }
}

impl FromStr for EventCursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // Until the year 9999: PostgreSQL has no later dates.
        const LAST: i64 = 253_402_300_799_999_999;
        let parts = text.split_once('.').and_then(|(happened, event_id)| {
            let happened = happened.parse().ok().filter(|micros| (0..=LAST).contains(micros))?;
            Some(Self { happened, event_id: event_id.parse().ok()? })
        });
        parts.ok_or(Invalid::new("invalid_cursor", "must be the `next` of an earlier page"))
    }
}

impl TryFrom<String> for EventCursor {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<EventCursor> for String {
    fn from(cursor: EventCursor) -> String {
        cursor.to_string()
    }
}

impl Field for EventCursor {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }
}

described!(EventCursor, { "type": "string" });

impl Reply for EventPage {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_name_maps_back_to_its_kind() {
        for &kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(happened in 0..253_402_300_799_999_999_i64) {
            let cursor = EventCursor { happened, event_id: EventId::random() };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn any_text_is_a_cursor_or_none(text in "\\PC*|-?[0-9]{1,25}\\.[0-9a-f-]{0,40}") {
            if let Ok(cursor) = text.parse::<EventCursor>() {
                prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
    }
}
