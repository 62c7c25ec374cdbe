//! Operations: the endpoints with their parameters, bodies and responses.

use std::collections::BTreeMap;

use authy_core::{
    api::{
        Endpoint, Info, ParamVisitor, PathParam, PathParams, Request, Visitor,
        session::{GetRevocations, Login},
    },
    client_info::DEVICE_TOKEN,
};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::{insert, response, schema, text};

/// The operations of the endpoints that were visited.
pub(super) struct Operations {
    /// Makes the schemas of bodies and queries.
    pub(super) sent: SchemaGenerator,
    /// Makes the schemas of responses.
    pub(super) shown: SchemaGenerator,
    /// By path and method.
    pub(super) paths: BTreeMap<&'static str, BTreeMap<String, Value>>,
    /// The responses that operations share, by name.
    pub(super) responses: BTreeMap<String, Value>,
    /// Which endpoints are described.
    includes: fn(&Info) -> bool,
}

impl Visitor for Operations {
    fn visit<E: Endpoint>(&mut self) {
        let info = &E::INFO;
        if !(self.includes)(info) {
            return;
        }
        let (summary, description) = info.doc.split_once("\n\n").unwrap_or((info.doc, ""));
        let mut operation = json!({
            "operationId": info.name,
            "tags": [info.subject],
            "summary": text(summary),
            "responses": response::responses::<E>(&mut self.shown, &mut self.responses),
            // An empty list: no token is needed.
            "security": [],
        });
        if !description.trim().is_empty() {
            insert(&mut operation, "description", text(description).into());
        }
        if info.access.needs_token() {
            insert(&mut operation, "security", json!([{ "bearer": [] }, { "accessToken": [] }]));
        }
        let mut parameters = self.path_parameters::<E>();
        if info.has_body() && !E::Request::FIELDS.is_empty() {
            let schema = self.sent.subschema_for::<E::Request>();
            let content = json!({ "application/json": { "schema": schema } });
            insert(&mut operation, "requestBody", json!({ "required": true, "content": content }));
        } else {
            parameters.extend(self.query_parameters::<E::Request>());
        }
        parameters.extend(header_parameters(info));
        if !parameters.is_empty() {
            insert(&mut operation, "parameters", parameters.into());
        }
        self.paths.entry(info.path).or_default().insert(info.method.as_str().to_ascii_lowercase(), operation);
    }
}

impl Operations {
    /// No operations yet.
    pub(super) fn new(sent: SchemaGenerator, shown: SchemaGenerator, includes: fn(&Info) -> bool) -> Self {
        Self { sent, shown, paths: BTreeMap::new(), responses: BTreeMap::new(), includes }
    }

    fn path_parameters<E: Endpoint>(&mut self) -> Vec<Value> {
        let names = E::INFO.path.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
        let mut schemas = ParamSchemas { sent: &mut self.sent, shown: &mut self.shown, schemas: Vec::new() };
        E::Path::visit(&mut schemas);
        let parameter = |(name, schema)| json!({ "name": name, "in": "path", "required": true, "schema": schema });
        names.zip(schemas.schemas).map(parameter).collect()
    }

    fn query_parameters<R: Request>(&mut self) -> Vec<Value> {
        let mut generator = self.sent.settings().clone().into_generator();
        let mut schema = generator.root_schema_for::<R>().to_value();
        // A query has no `null`.
        schema::omit_null(&mut schema);
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
}

struct ParamSchemas<'a> {
    sent: &'a mut SchemaGenerator,
    shown: &'a mut SchemaGenerator,
    schemas: Vec<Value>,
}

impl ParamVisitor for ParamSchemas<'_> {
    fn visit<T: PathParam>(&mut self) {
        // What identifies a resource may be as it is stored.
        let generator = if T::WRONG_IS_NOT_FOUND { &mut *self.shown } else { &mut *self.sent };
        self.schemas.push(generator.subschema_for::<T>().to_value());
    }
}

/// Returns the headers of a request that an endpoint reads, beside the token.
fn header_parameters(info: &Info) -> Vec<Value> {
    let device_token = DEVICE_TOKEN;
    let headers: &[(&str, &str)] = if info.path == Login::INFO.path {
        &[(
            device_token.as_str(),
            "The `device_token` of an earlier login on this device: guesses from other devices do not delay it. An \
             invalid one is ignored.",
        )]
    } else if info.path == GetRevocations::INFO.path {
        &[
            (
                "if-none-match",
                "The `ETag` of an earlier response: the response is 304 while the same tokens are revoked.",
            ),
            ("last-event-id", "The ID of the last event of a stream, to resume it."),
        ]
    } else {
        &[]
    };
    let parameter = |&(name, description): &(&str, &str)| {
        let schema = json!({ "type": "string" });
        json!({ "name": name, "in": "header", "description": description, "schema": schema })
    };
    headers.iter().map(parameter).collect()
}
