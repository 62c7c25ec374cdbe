//! The OpenAPI 3.1 document, made from the rows of the endpoints and the schemas of their types.

use std::collections::{BTreeMap, BTreeSet};

use authy_core::{
    Access, ErrorKind, Schema as _,
    api::{
        self, Endpoint, Info, Method, ParamVisitor, PathParam, PathParams, Problem, RateClass, Reply, Request, Visitor,
        session::Login, system::GetRateLimited,
    },
    client_info::DEVICE_TOKEN,
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

const DESCRIPTION: &str = "\
Authentication and authorization. Users sign up, log in and get a token; roles with levels say what they may do (a smaller level \
is more power); administrators manage both.

The token travels in `Authorization: Bearer` or in `x-access-token`. Every GET answers HEAD, every path answers OPTIONS. \
Times are RFC 1123 in UTC. Every answer has `x-request-id`, the caller's when it is 1 to 64 of `[A-Za-z0-9._-]`. Errors \
are problem documents (RFC 9457); decide by `code`, which comes from a closed list. An unknown field in a body, and an \
unknown parameter where a query is declared, is 400 `invalid_input`. Endpoints that are limited by address show it in \
`RateLimit-Policy` and `RateLimit`.";

/// Returns the document.
pub fn document() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut paths = Paths { generator: settings.into_generator(), items: BTreeMap::new(), bodies: BTreeSet::new() };
    api::visit(&mut paths);
    let Paths { mut generator, items, bodies } = paths;
    generator.subschema_for::<Problem>();
    let mut schemas = generator.take_definitions(true);
    for (name, schema) in &mut schemas {
        if bodies.contains(name) {
            insert(schema, "additionalProperties", json!(false));
        }
    }
    if let Some(code) = schemas.get_mut("Problem").and_then(|problem| problem.pointer_mut("/properties/code")) {
        insert(code, "enum", ErrorKind::ALL.iter().map(|kind| kind.code()).collect());
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "authy",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "session", "description": "Logging in and out, and checking tokens" },
            { "name": "user", "description": "Accounts" },
            { "name": "role", "description": "Roles and their users" },
            { "name": "event", "description": "The audit trail" },
            { "name": "system", "description": "The service itself" },
        ],
        "paths": items,
        "components": {
            "schemas": schemas,
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

/// The paths seen so far.
struct Paths {
    generator: SchemaGenerator,
    items: BTreeMap<&'static str, BTreeMap<String, Value>>,
    /// The names of the schemas of bodies, in which unknown fields are errors.
    bodies: BTreeSet<String>,
}

impl Visitor for Paths {
    fn visit<E: Endpoint>(&mut self) {
        let info = &E::INFO;
        let (summary, description) = info.doc.split_once("\n\n").unwrap_or((info.doc, ""));
        let mut operation = json!({
            "operationId": info.name,
            "tags": [info.subject],
            "summary": text(summary),
            "responses": self.responses::<E>(),
        });
        if !description.trim().is_empty() {
            insert(&mut operation, "description", text(description).into());
        }
        if info.access.needs_token() {
            insert(&mut operation, "security", json!([{ "bearer": [] }, { "accessToken": [] }]));
        }
        let mut parameters = self.path_parameters::<E>();
        if has_body(info) && !E::Request::FIELDS.is_empty() {
            let schema = self.generator.subschema_for::<E::Request>();
            self.bodies.insert(E::Request::schema_name().into_owned());
            let content = json!({ "application/json": { "schema": schema } });
            insert(&mut operation, "requestBody", json!({ "required": true, "content": content }));
        } else {
            parameters.extend(self.query_parameters::<E::Request>());
        }
        if info.path == Login::INFO.path {
            parameters.push(device_token());
        }
        if !parameters.is_empty() {
            insert(&mut operation, "parameters", parameters.into());
        }
        self.items.entry(info.path).or_default().insert(info.method.as_str().to_ascii_lowercase(), operation);
    }
}

impl Paths {
    fn path_parameters<E: Endpoint>(&mut self) -> Vec<Value> {
        let names = E::INFO.path.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
        let mut schemas = ParamSchemas { generator: &mut self.generator, schemas: Vec::new() };
        E::Path::visit(&mut schemas);
        let parameter = |(name, schema)| json!({ "name": name, "in": "path", "required": true, "schema": schema });
        names.zip(schemas.schemas).map(parameter).collect()
    }

    fn query_parameters<R: Request>(&mut self) -> Vec<Value> {
        let mut generator = self.generator.settings().clone().into_generator();
        let schema = generator.root_schema_for::<R>().to_value();
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        // In the order they are declared in.
        let known = R::FIELDS.iter().filter_map(|name| Some((name, properties.get(*name)?)));
        let parameter = |(name, schema): (&&str, &Value)| {
            let mut schema = schema.clone();
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            json!({ "name": name, "in": "query", "description": description, "schema": schema })
        };
        known.map(parameter).collect()
    }

    fn responses<E: Endpoint>(&mut self) -> BTreeMap<String, Value> {
        let mut responses = BTreeMap::new();
        let mut kinds = BTreeMap::<u16, Vec<ErrorKind>>::new();
        for kind in errors(&E::INFO) {
            let of_status = kinds.entry(api::status(kind).as_u16()).or_default();
            if !of_status.contains(&kind) {
                of_status.push(kind);
            }
        }
        for (status, kinds) in kinds {
            let lines: Vec<_> = kinds.iter().map(|kind| format!("- `{kind}`: {}", kind.title())).collect();
            let problem = self.generator.subschema_for::<Problem>();
            let content = json!({ "application/problem+json": { "schema": problem } });
            let mut response = json!({ "description": lines.join("\n"), "content": content });
            if E::INFO.has_page {
                for_browsers(&mut response);
            }
            responses.insert(status.to_string(), response);
        }
        // An endpoint that always fails has no successful answer.
        if E::INFO.path != GetRateLimited::INFO.path {
            let mut success = self.success::<E::Response>();
            if E::INFO.has_page {
                for_browsers(&mut success);
            }
            responses.insert(<E::Response as Reply>::STATUS.to_string(), success);
        }
        responses
    }

    fn success<R: Reply>(&mut self) -> Value {
        let mut response = json!({ "description": "Success" });
        if R::STATUS != 204 {
            let schema = self.generator.subschema_for::<R>();
            insert(&mut response, "content", json!({ "application/json": { "schema": schema } }));
        }
        if R::STATUS == 201 {
            let location = json!({ "description": "The path of the new resource", "schema": { "type": "string" } });
            insert(&mut response, "headers", json!({ "Location": location }));
        }
        response
    }
}

struct ParamSchemas<'a> {
    generator: &'a mut SchemaGenerator,
    schemas: Vec<Value>,
}

impl ParamVisitor for ParamSchemas<'_> {
    fn visit<T: PathParam>(&mut self) {
        self.schemas.push(self.generator.subschema_for::<T>().to_value());
    }
}

/// Describes the header with which a device shows that it has logged in before.
fn device_token() -> Value {
    json!({
        "name": DEVICE_TOKEN.as_str(),
        "in": "header",
        "description": "The `device_token` of an earlier login on this device: guesses from other devices do not delay it. An \
            invalid one is ignored",
        "schema": { "type": "string" },
    })
}

/// Adds the page to the answers of an endpoint.
fn for_browsers(response: &mut Value) {
    if let Some(content) = response.get_mut("content") {
        insert(content, "text/html", json!({ "schema": { "type": "string" } }));
    }
}

fn has_body(info: &Info) -> bool {
    info.method != Method::GET && info.method != Method::DELETE
}

/// Returns the errors of an endpoint, its own first.
fn errors(info: &Info) -> Vec<ErrorKind> {
    use ErrorKind::*;
    let mut kinds = info.errors.to_vec();
    if has_body(info) {
        kinds.extend([MalformedJson, BodyTooLarge, UnsupportedMediaType, RequestTimeout]);
    }
    if info.access.needs_token() {
        kinds.extend([TokenRequired, InvalidToken, ConflictingTokens]);
    }
    if matches!(info.access, Access::Level(_) | Access::OwnOrLevel(_)) {
        kinds.push(InsufficientLevel);
    }
    if info.limit != RateClass::Exempt {
        kinds.push(RateLimited);
    }
    kinds.extend([MalformedRequest, HttpsRequired, Unavailable, Internal]);
    kinds
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
