//! Positions in the audit trail.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{EventId, Invalid, api::Field};

/// A position in the audit trail: the time of an event, in microseconds since 1970, and its ID.
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

described!(EventCursor, {
    "type": "string",
    "pattern": "^[0-9]+\\.[0-9a-f-]{36}$",
    "examples": ["1560247389123456.01976c2d-8f0b-7d41-a5a4-0d7b3a1f6c55"],
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
