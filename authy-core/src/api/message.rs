//! Messages: the form of an event that sinks receive through a broker.

use super::event::EventView;

wire! {
    /// An event as a message. Recipients must ignore unknown fields: a version can gain fields.
    pub struct EventMessage {
        /// The version of the message format. It changes when a field is removed or changes its meaning.
        pub version: u32,
        /// The event.
        #[serde(flatten)]
        pub event: EventView,
    }
}

impl EventMessage {
    /// The version of the message format that this crate writes.
    pub const VERSION: u32 = 1;

    /// The media type of the content.
    pub const CONTENT_TYPE: &'static str = "application/json";

    /// Creates the message of an event.
    pub fn new(event: EventView) -> Self {
        Self { version: Self::VERSION, event }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::{EventId, api::event::EventKind, time};

    #[test]
    fn a_message_is_one_flat_object_and_fields_of_later_versions_do_no_harm() {
        let event = EventView {
            event_id: EventId::random(),
            kind: EventKind::UserRegistered,
            happened: time::from_unix_seconds(1_560_247_389),
            happened_micros: 1_560_247_389_000_001,
            actor: None,
            actor_kind: "anonymous".to_owned(),
            subject: None,
            session_id: None,
            ip: None,
            user_agent: None,
            request_id: None,
            detail: Map::new(),
        };
        let message = EventMessage::new(event);
        let mut sent = serde_json::to_value(&message).unwrap();
        assert_eq!((&sent["version"], &sent["kind"]), (&json!(1), &json!("user.registered")));
        assert_eq!(sent["happened_micros"], json!(1_560_247_389_000_001_i64));
        sent["something"] = json!("new");
        assert_eq!(serde_json::from_value::<EventMessage>(sent).unwrap(), message);
    }
}
