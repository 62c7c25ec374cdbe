//! The AsyncAPI 3.0 document of the published messages, made from the kinds of events and the type of the message.

use authy_core::{
    Schema,
    api::{
        event::{DetailVisitor, EventKind},
        message::EventMessage,
    },
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The exchange that events are published to.
pub(crate) const EXCHANGE: &str = "authy.events";

/// The queue that receives every event.
pub(crate) const QUEUE: &str = "authy.audit";

const DESCRIPTION: &str = "\
Audit events: actor, subject, time and client of each change. Every change commits together with its event, and each event is \
published to the topic exchange `authy.events` with its kind as the routing key: persistent, mandatory, and until the broker \
has confirmed it.

A message is delivered at least once: use `event_id`, which is also the AMQP property `message-id`, to deduplicate. The messages \
about one user (`subject`) are delivered in the order in which the events happened. A message never contains a secret.

The queue `authy.audit` takes every event. Declare your own queue and bind it to the events that you need: `user.*`, or \
`#` for all. Ignore unknown kinds and fields: newer versions of authy add more.";

/// Returns the document.
pub fn document() -> Map<String, Value> {
    // The schemas of AsyncAPI extend those of draft 7.
    let settings = SchemaSettings::draft07().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut messages = Messages { generator: settings.into_generator(), messages: Map::new() };
    EventKind::visit(&mut messages);
    let Messages { mut generator, messages } = messages;
    generator.subschema_for::<EventMessage>();
    let mut schemas = generator.take_definitions(true);
    if let Some(version) = schemas.get_mut("EventMessage").and_then(|schema| schema.pointer_mut("/properties/version"))
    {
        *version = json!({ "const": EventMessage::VERSION, "description": version.get("description") });
    }
    let kinds = || EventKind::ALL.iter().map(|kind| kind.as_str());
    let reference = |of: &str, kind: &str| json!({ "$ref": format!("{of}/{kind}") });
    let published = kinds().map(|kind| (kind.to_owned(), reference("#/components/messages", kind)));
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "authy",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": EventMessage::CONTENT_TYPE,
        "channels": {
            "events": {
                "address": "{kind}",
                "title": "Audit events",
                "description": format!("The exchange `{EXCHANGE}`; the queue `{QUEUE}` is bound to it with `#`."),
                "parameters": {
                    "kind": { "description": "The kind of the event, which is the routing key.", "enum": kinds().collect::<Vec<_>>() },
                },
                "messages": published.collect::<Map<_, _>>(),
                "bindings": { "amqp": {
                    "is": "routingKey",
                    "exchange": { "name": EXCHANGE, "type": "topic", "durable": true, "autoDelete": false },
                    "bindingVersion": "0.3.0",
                } },
            },
        },
        "operations": {
            "publish": {
                "action": "send",
                "channel": { "$ref": "#/channels/events" },
                "summary": "Publishes an event after it is committed.",
                "messages": kinds().map(|kind| reference("#/channels/events/messages", kind)).collect::<Vec<_>>(),
                "bindings": { "amqp": {
                    "deliveryMode": 2,
                    "mandatory": true,
                    "timestamp": true,
                    "bindingVersion": "0.3.0",
                } },
            },
        },
        "components": { "messages": messages, "schemas": schemas },
    });
    match document {
        Value::Object(document) => document,
        _ => Map::new(),
    }
}

/// The messages of the kinds visited so far.
struct Messages {
    generator: SchemaGenerator,
    messages: Map<String, Value>,
}

impl DetailVisitor for Messages {
    fn visit<D: Schema>(&mut self, kind: &EventKind) {
        let detail = self.generator.subschema_for::<D>();
        let message = json!({
            "name": kind,
            "title": kind,
            "summary": kind.meaning().lines().map(str::trim).collect::<Vec<_>>().join(" "),
            "contentType": EventMessage::CONTENT_TYPE,
            "payload": { "allOf": [
                { "$ref": "#/components/schemas/EventMessage" },
                { "properties": { "kind": { "const": kind }, "detail": detail } },
            ] },
            "bindings": { "amqp": { "messageType": kind, "bindingVersion": "0.3.0" } },
        });
        self.messages.insert(kind.to_string(), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_is_described() {
        let document = Value::Object(document());
        for kind in EventKind::ALL {
            let message = &document["components"]["messages"][kind.as_str()];
            assert!(message["summary"].as_str().is_some_and(|summary| summary.len() > 10), "{kind}");
            assert!(document["channels"]["events"]["messages"][kind.as_str()].is_object(), "{kind}");
        }
        let required = document["components"]["schemas"]["EventMessage"]["required"].as_array().unwrap();
        for field in ["version", "event_id", "kind", "happened", "happened_micros", "detail"] {
            assert!(required.iter().any(|name| name == field), "{field}: {required:?}");
        }
    }
}
