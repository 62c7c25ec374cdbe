//! The reference of events: the AsyncAPI document of this server, as a page to read.

use std::sync::LazyLock;

use authy_core::api::{Endpoint as _, system::GetAsyncApi};
use serde_json::{Map, Value};

use super::{
    answer::{Answer, Shown},
    path::DOCS,
    visit::Visit,
};
use crate::asyncapi;

pub(super) mod view;

use view::{EventDocsView, FieldLine, KindEntry, Span};

/// Read once: it does not change while the program runs.
static REFERENCE: LazyLock<Reference> = LazyLock::new(|| Reference::read(&Value::Object(asyncapi::document())));

/// What the document says, in the order of reading.
#[derive(Default)]
struct Reference {
    about: Vec<Vec<Span>>,
    fields: Vec<FieldLine>,
    example: String,
    kinds: Vec<KindEntry>,
}

pub(super) async fn reference(visit: &Visit<'_>) -> Shown {
    let url = |path| visit.site.skin.url(path);
    let Reference { about, fields, example, kinds } = &*REFERENCE;
    Ok(Answer::page(&EventDocsView {
        asyncapi: url(GetAsyncApi::INFO.path),
        api: url(DOCS),
        about: about.clone(),
        fields: fields.clone(),
        example: example.clone(),
        kinds: kinds.clone(),
    }))
}

impl Reference {
    fn read(document: &Value) -> Self {
        let schemas = Schemas(document);
        let message = document.pointer("/components/schemas/EventMessage").unwrap_or(&Value::Null);
        let about = document.pointer("/info/description").and_then(Value::as_str).unwrap_or_default();
        let messages = document.pointer("/components/messages").and_then(Value::as_object);
        let kinds = authy_core::api::event::EventKind::ALL.iter().filter_map(|kind| {
            let message = messages?.get(kind.as_str())?;
            let detail = message.pointer("/payload/allOf/1/properties/detail").unwrap_or(&Value::Null);
            Some(KindEntry {
                name: kind.as_str().to_owned(),
                summary: spans(message.get("summary").and_then(Value::as_str).unwrap_or_default()),
                fields: schemas.fields(schemas.resolve(detail)),
            })
        });
        Self {
            about: about.split("\n\n").map(spans).collect(),
            fields: schemas.fields(message),
            example: example(message),
            kinds: kinds.collect(),
        }
    }
}

/// The schemas of the document.
struct Schemas<'a>(&'a Value);

impl<'a> Schemas<'a> {
    /// Returns the schema that a reference leads to, or the schema itself.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        target.and_then(|target| self.0.pointer(target)).unwrap_or(schema)
    }

    /// Returns the fields of an object: those that are always there in their order, and then the others.
    fn fields(&self, object: &'a Value) -> Vec<FieldLine> {
        let Some(properties) = object.get("properties").and_then(Value::as_object) else { return Vec::new() };
        ordered(object, properties)
            .map(|(name, is_required)| {
                let schema = properties.get(name).unwrap_or(&Value::Null);
                let about = schema.get("description").or_else(|| self.resolve(schema).get("description"));
                FieldLine {
                    name: name.to_owned(),
                    kind: self.kind(schema),
                    is_optional: !is_required,
                    about: spans(about.and_then(Value::as_str).unwrap_or_default()),
                }
            })
            .collect()
    }

    /// Returns the type of a value, for people.
    fn kind(&self, schema: &'a Value) -> String {
        let schema = self.resolve(schema);
        if let Some(value) = schema.get("const") {
            return value.to_string();
        }
        if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            return choices.iter().map(|choice| self.kind(choice)).collect::<Vec<_>>().join(" or ");
        }
        let format = schema.get("format").and_then(Value::as_str).filter(|format| *format == "uuid");
        let named = |name: &str| match (name, format) {
            ("string", Some(format)) => format.to_uppercase(),
            ("array", _) => match schema.get("items") {
                Some(items) => format!("list of {}", self.kind(items)),
                None => "list".to_owned(),
            },
            (name, _) => name.to_owned(),
        };
        match schema.get("type") {
            Some(Value::String(name)) => named(name),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).map(named).collect::<Vec<_>>().join(" or ")
            }
            _ => "any".to_owned(),
        }
    }
}

/// Returns the names of properties, each with whether it is always there.
fn ordered<'a>(
    object: &'a Value,
    properties: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'a str, bool)> + use<'a> {
    let required = || object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let others = properties.keys().map(String::as_str).filter(move |name| !required().any(|known| known == *name));
    required()
        .filter(|name| properties.contains_key(*name))
        .map(|name| (name, true))
        .chain(others.map(|it| (it, false)))
}

/// Returns a message with the examples of its fields, one a line.
fn example(message: &Value) -> String {
    let Some(properties) = message.get("properties").and_then(Value::as_object) else { return String::new() };
    let lines = ordered(message, properties).filter_map(|(name, _)| {
        let schema = properties.get(name)?;
        let value = match name {
            // The detail of the kind in the line above.
            "kind" => "\"user.registered\"".to_owned(),
            "detail" => "{ \"role\": \"user\" }".to_owned(),
            _ => schema.get("const").or_else(|| schema.pointer("/examples/0"))?.to_string(),
        };
        Some(format!("  \"{name}\": {value}"))
    });
    format!("{{\n{}\n}}", lines.collect::<Vec<_>>().join(",\n"))
}

/// Splits a text at its backquotes: every second part is code.
fn spans(text: &str) -> Vec<Span> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(number, part)| Span { text: part.to_owned(), is_code: number % 2 == 1 }).collect()
}

#[cfg(test)]
mod tests {
    use authy_core::api::event::EventKind;

    use super::*;

    #[test]
    fn the_page_has_every_kind_with_the_fields_of_its_detail() {
        let reference = &*REFERENCE;
        assert_eq!(reference.kinds.len(), EventKind::ALL.len());
        let kind = |name: &str| reference.kinds.iter().find(|kind| kind.name == name).unwrap();
        let fields = |name: &str| {
            let line = |field: &FieldLine| (field.name.clone(), field.kind.clone(), field.is_optional);
            kind(name).fields.iter().map(line).collect::<Vec<_>>()
        };
        assert!(kind("user.deleted").fields.is_empty());
        assert_eq!(fields("user.registered")[0], ("role".to_owned(), "string".to_owned(), false));
        assert!(fields("user.registered").contains(&("code_id".to_owned(), "UUID or null".to_owned(), true)));
        assert!(fields("user.imported").contains(&("roles".to_owned(), "list of string".to_owned(), false)));
        for kind in &reference.kinds {
            assert!(!kind.summary.is_empty(), "{}", kind.name);
            for field in &kind.fields {
                assert!(!field.about.is_empty() && field.kind != "any", "{}: {field:?}", kind.name);
            }
        }
        let names: Vec<_> = reference.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names.first().zip(names.last()), Some((&"version", &"detail")), "{names:?}");
        assert!(reference.about.iter().flatten().any(|span| span.is_code && span.text == "event_id"));
    }

    #[test]
    fn the_example_is_a_message() {
        use authy_core::api::message::EventMessage;
        let message: EventMessage = serde_json::from_str(&REFERENCE.example).unwrap();
        assert_eq!((message.version, message.event.kind), (EventMessage::VERSION, EventKind::UserRegistered));
    }

    #[test]
    fn code_is_what_stands_in_backquotes() {
        let code = |text: &str| spans(text).into_iter().map(|span| (span.text, span.is_code)).collect::<Vec<_>>();
        let owned = |text: &str, is_code| (text.to_owned(), is_code);
        assert_eq!(code("a `b`\n c"), [owned("a ", false), owned("b", true), owned(" c", false)]);
        assert_eq!(code("`b`"), [owned("b", true)]);
        assert!(code("").is_empty());
    }
}
