//! Events: one schema per kind, with its detail, and one for the kinds of later versions.

use authy_core::{
    Schema,
    api::event::{DetailVisitor, EventKind, EventView},
};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::{insert, text};

/// The schemas of the kinds that were visited.
struct Kinds<'a> {
    generator: &'a mut SchemaGenerator,
    schemas: Map<String, Value>,
}

impl DetailVisitor for Kinds<'_> {
    fn visit<D: Schema>(&mut self, kind: &EventKind) {
        let detail = self.generator.subschema_for::<D>().to_value();
        let schema = event(&text(kind.meaning()), json!({ "type": "string", "const": kind }), detail);
        self.schemas.insert(format!("{kind:?}Event"), schema);
    }
}

/// Returns the schema of an event, which replaces that of its type, and those that it refers to.
///
/// An event has exactly one of the schemas of the kinds. A client that was generated before a kind was added reads such
/// an event as an `UnknownEvent`.
pub(super) fn schemas(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut kinds = Kinds { generator, schemas: Map::new() };
    EventKind::visit(&mut kinds);
    let Kinds { generator, mut schemas } = kinds;
    let unknown = json!({ "type": "string", "not": { "enum": EventKind::ALL } });
    let any = json!({ "type": "object", "additionalProperties": true });
    schemas.insert("UnknownEvent".to_owned(), event("An event of a kind that a later version added.", unknown, any));
    let names = EventKind::ALL.iter().map(|kind| format!("{kind:?}Event")).chain(["UnknownEvent".to_owned()]);
    let one_of: Vec<_> = names.map(|name| json!({ "$ref": format!("#/components/schemas/{name}") })).collect();

    let mut base = generator.settings().clone().into_generator().root_schema_for::<EventView>().to_value();
    let description = base.get("description").cloned().unwrap_or_default();
    insert(&mut base, "description", "What all events have.".into());
    if let Some(base) = base.as_object_mut() {
        base.remove("title");
        base.remove("$defs");
    }
    if let Some(properties) = base.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !is_own(name));
    }
    if let Some(required) = base.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !name.as_str().is_some_and(is_own));
    }
    schemas.insert("EventBase".to_owned(), base);
    schemas.insert("EventView".to_owned(), json!({ "description": description, "oneOf": one_of }));
    schemas
}

/// Returns whether the schema of a property depends on the kind.
fn is_own(name: &str) -> bool {
    name == "kind" || name == "detail"
}

fn event(description: &str, kind: Value, detail: Value) -> Value {
    let own =
        json!({ "type": "object", "properties": { "kind": kind, "detail": detail }, "required": ["kind", "detail"] });
    json!({ "description": description, "allOf": [{ "$ref": "#/components/schemas/EventBase" }, own] })
}
