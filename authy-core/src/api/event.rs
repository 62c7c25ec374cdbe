//! Events: what happened. The audit trail and the messages that leave the house are the same rows.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Field, Reply, endpoints, page::PageSize, requests};
use crate::{Access, EventId, Invalid, SessionId, UserId, access::ADMIN, time::HttpDate};

const SUBJECT: &str = "event";

endpoints! {
    /// The audit trail, newest first.
    ListEvents: GET "/authy/event" () EventQuery => EventPage, Access::Level(ADMIN); fails InvalidInput;
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal;)+) => {
        /// What can happen. The name is also the key that messages are routed by.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventKind { $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+ }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name,)+];

            /// Its name, which messages are routed by.
            pub fn as_str(self) -> &'static str {
                match self { $(EventKind::$name => $text,)+ }
            }

            /// What it means, and what its `detail` says.
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
    /// Somebody signed up. `detail`: `role`, and `code_id` unless whoever made the account vouches for the address.
    UserRegistered "user.registered";
    /// A user was deleted; the row stays.
    UserDeleted "user.deleted";
    /// A user was brought back.
    UserRestored "user.restored";
    /// The personal data of a user was erased for good.
    UserErased "user.erased";
    /// An address was confirmed.
    UserValidated "user.validated";
    /// A user asked for another code to confirm the address with. `detail`: `code_id`.
    ValidationRequested "validation.requested";
    /// A reset of a password was asked for; about nobody when nobody has the address. `detail`: `code_id`, unless the code was
    /// handed to the operator.
    ResetRequested "reset.requested";
    /// A password was changed. `detail`: `reset`, whether with a code.
    PasswordChanged "password.changed";
    /// A new address was asked for, and is not in force yet. `detail`: `code_id`.
    EmailRequested "email.requested";
    /// An address was changed, and is confirmed.
    EmailChanged "email.changed";
    /// The account lost an address that it had not confirmed, because another account confirmed it. All its sessions have ended.
    EmailReleased "email.released";
    /// A login. `detail`: `level`, and `new_device` when nothing like it logged in before.
    SessionOpened "session.opened";
    /// A refresh token was exchanged. `detail`: `generation`.
    SessionRefreshed "session.refreshed";
    /// A spent refresh token was presented, so the session is over. `detail`: `generation`.
    SessionReplayed "session.replayed";
    /// A session was ended. `detail`: `reason`, `too_many` when a login ended it because its user had 100
    /// live sessions; the least recently used one is ended.
    SessionEnded "session.ended";
    /// Several sessions of a user were ended.
    SessionsEnded "sessions.ended";
    /// Whoever runs the house was given an access token of a user's, in a session of its own. `detail`: `level`.
    TokenIssued "token.issued";
    /// Too many wrong passwords in a row: from now on whoever goes on has to wait, until a success. Told once. About nobody when
    /// nobody has the name that was tried. `detail`: `of` (`login` from devices that are not known, a known `device`, or the
    /// `password` that is asked for again), `failures`.
    AccountThrottled "account.throttled";
    /// A role was made. `detail`: `role`, `level`.
    RoleCreated "role.created";
    /// A role was deleted. `detail`: `role`.
    RoleDeleted "role.deleted";
    /// A role was granted. `detail`: `role`.
    RoleGranted "role.granted";
    /// A role was taken away. `detail`: `role`.
    RoleRevoked "role.revoked";
    /// A signing key was made. `detail`: `kid`, `alg`, `state`.
    KeyCreated "key.created";
    /// A signing key signs from now on. `detail`: `kid`.
    KeyActivated "key.activated";
    /// A signing key is over. `detail`: `kid`.
    KeyRetired "key.retired";
    /// A signing key is void, and with it all it signed. `detail`: `kid`.
    KeyRevoked "key.revoked";
    /// The signing keys were sealed with another master key. `detail`: `keys`, how many.
    KeyResealed "key.resealed";
    /// An operator had an event that was stuck handed out again. `detail`: `sink`, `event_id`.
    DeliveryRetried "delivery.retried";
    /// An operator gave up on an event that was stuck. `detail`: `sink`, `event_id`.
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
    /// Something that happened: to whom, by whom, when, and from where. There is never a secret in it.
    pub struct EventView {
        /// Which event: whoever may be told twice tells by this. In the order of time.
        pub event_id: EventId,
        /// What happened. One that this version does not know is newer than it.
        pub kind: String,
        /// When.
        #[serde(with = "HttpDate")]
        pub happened: DateTime<Utc>,
        /// When exactly: microseconds since 1970. `happened` knows whole seconds only, and much can happen in one.
        pub happened_micros: i64,
        /// The user who did it; none when it was an anonymous caller or the operator.
        pub actor: Option<UserId>,
        /// The kind of actor: `anonymous`, `user` or `operator`.
        pub actor_kind: String,
        /// Whom it was done to.
        pub subject: Option<UserId>,
        /// The session it was done in, or to.
        pub session_id: Option<SessionId>,
        /// The address it was done from.
        pub ip: Option<String>,
        /// What it was done with.
        pub user_agent: Option<String>,
        /// The request that did it; the server's log has it under this name.
        pub request_id: Option<String>,
        /// What else there is to know, by `kind`.
        pub detail: Map<String, Value>,
    }

    /// A page of the audit trail.
    pub struct EventPage {
        /// The events, newest first.
        pub events: Vec<EventView>,
        /// What to ask for as `after` to go on; nothing when there is no more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<EventCursor>,
    }
}

impl EventView {
    /// What happened, when this version knows it.
    pub fn known_kind(&self) -> Option<EventKind> {
        self.kind.parse().ok()
    }
}

requests! {
    /// Which part of the audit trail.
    pub struct EventQuery {
        /// Only what was done to this user, or by this user.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub user: Option<UserId>,
        /// Only events of this kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kind: Option<EventKind>,
        /// Only what is older than where an earlier answer ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub after: Option<EventCursor>,
        /// How many: 1 to 100, 20 when left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub limit: Option<PageSize>,
    }
}

/// Where an answer ended: when its last event happened, in microseconds since 1970, and which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventCursor {
    /// Microseconds since 1970.
    pub happened: i64,
    /// Which event.
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
        // Until the year 9999: what PostgreSQL has no date for is not one of ours.
        const LAST: i64 = 253_402_300_799_999_999;
        let parts = text.split_once('.').and_then(|(happened, event_id)| {
            let happened = happened.parse().ok().filter(|micros| (0..=LAST).contains(micros))?;
            Some(Self { happened, event_id: event_id.parse().ok()? })
        });
        parts.ok_or(Invalid::new("invalid_cursor", "must be the next of an earlier answer"))
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
    fn every_name_leads_back_to_its_kind() {
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
