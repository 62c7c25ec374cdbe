//! The OpenAPI 3.1 document, made from the rows of the endpoints and the schemas of their types.

use authy_core::{
    ErrorKind,
    api::{self, Info, Problem},
};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

mod event;
mod example;
mod header;
mod operation;
mod response;
mod schema;

use operation::Operations;

const DESCRIPTION: &str = "\
Authentication and authorization. Users sign up, log in and get a token; roles with levels say what they may do (a smaller level \
is more power); administrators manage both.

The token travels in `Authorization: Bearer` or in `x-access-token`. Every GET answers HEAD, every path answers OPTIONS. \
Times are RFC 1123 in UTC. Every answer has `x-request-id`, the caller's when it is 1 to 64 of `[A-Za-z0-9._-]`. Errors \
are problem documents (RFC 9457); decide by `code`, which comes from a closed list. An unknown field in a body, and an \
unknown parameter where a query is declared, is 400 `invalid_input`. Endpoints that are limited by address show it in \
`RateLimit-Policy` and `RateLimit`.

A later version can add endpoints, optional fields of requests, fields of responses and kinds of events: ignore what you do not \
know.";

/// The subjects of the endpoints, in the order of the documentation.
const TAGS: [(&str, &str); 6] = [
    ("session", "Logging in and out, sessions, and what a service needs to check tokens"),
    ("user", "Signing up, and users as they and administrators see them"),
    ("account", "Confirming an email address, changing and resetting a password, exporting and restoring an account"),
    ("role", "Roles and their users"),
    ("event", "The audit trail"),
    ("system", "The service itself, and its documents"),
];

/// Returns the document.
pub fn document() -> Map<String, Value> {
    document_of(|_| true)
}

/// Returns the document of the endpoints that are not for administrators alone, as the listener for everybody has it
/// beside an admin listener.
pub(crate) fn public_document() -> Map<String, Value> {
    document_of(|info| !info.access.is_administrative())
}

fn document_of(includes: fn(&Info) -> bool) -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    // What is stored may be outside of the limits for what is sent, so the schemas of responses do not have them.
    let (sent, shown) = (settings.clone().for_deserialize(), settings.for_serialize());
    let mut operations = Operations::new(sent.into_generator(), shown.into_generator(), includes);
    api::visit(&mut operations);
    let Operations { mut sent, mut shown, mut paths, responses, .. } = operations;
    shown.subschema_for::<Problem>();
    let events = event::schemas(&mut shown);
    let mut schemas = shown.take_definitions(true);
    schemas.extend(events);
    schemas.values_mut().for_each(schema::omit_null);
    let mut bodies = sent.take_definitions(true);
    bodies.values_mut().for_each(schema::close);
    schemas.extend(bodies);
    if let Some(code) = schemas.get_mut("Problem").and_then(|problem| problem.pointer_mut("/properties/code")) {
        insert(code, "enum", ErrorKind::ALL.iter().map(|kind| kind.code()).collect());
    }
    for item in paths.values_mut() {
        item.values_mut().for_each(|operation| example::add(operation, &schemas));
    }
    let tags: Vec<_> = TAGS.map(|(name, description)| json!({ "name": name, "description": description })).into();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "authy",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "headers": header::components(),
            "examples": example::problems(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                "accessToken": { "type": "apiKey", "in": "header", "name": "x-access-token" },
            },
        },
    });
    match document {
        Value::Object(document) => document,
        _ => Map::new(),
    }
}

/// Returns the text of a doc comment, without the space behind the slashes of each line.
fn text(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_is_described() {
        let document = Value::Object(document());
        for info in api::all() {
            let operation = &document["paths"][info.path][info.method.as_str().to_ascii_lowercase()];
            assert_eq!(operation["operationId"], info.name);
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{}", info.name);
        }
    }

    #[test]
    fn the_public_document_names_nothing_for_administrators_alone() {
        let document = Value::Object(public_document());
        for info in api::all() {
            let operation = &document["paths"][info.path][info.method.as_str().to_ascii_lowercase()];
            assert_eq!(operation.is_null(), info.access.is_administrative(), "{}", info.name);
        }
        assert!(document["paths"].as_object().unwrap().values().all(|path| !path.as_object().unwrap().is_empty()));
    }

    #[test]
    fn every_subject_of_an_endpoint_is_a_tag_and_every_tag_is_used() {
        let used: BTreeSet<_> = api::all().map(|info| info.subject).collect();
        assert_eq!(used, TAGS.map(|(name, _)| name).into());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = Value::Object(document());
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(object) => {
                    if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                    }
                    open.extend(object.values());
                }
                Value::Array(array) => open.extend(array),
                _ => {}
            }
        }
    }
}
