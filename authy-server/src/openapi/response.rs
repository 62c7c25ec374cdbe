//! Responses: the success and the errors of an endpoint.

use std::collections::BTreeMap;

use authy_core::{
    Access, ErrorKind,
    api::{
        self, Endpoint, Info, Problem, RateClass, Reply,
        session::{CheckAccess, GetRevocations},
        system::GetRateLimited,
    },
};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::{header::Header, insert};

/// Returns the responses of an endpoint by their status. Errors, which endpoints have in common, are added to `shared`.
pub(super) fn responses<E: Endpoint>(
    generator: &mut SchemaGenerator,
    shared: &mut BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    let mut responses = BTreeMap::new();
    let mut kinds = BTreeMap::<u16, Vec<ErrorKind>>::new();
    for kind in errors(&E::INFO) {
        let of_status = kinds.entry(api::status(kind).as_u16()).or_default();
        if !of_status.contains(&kind) {
            of_status.push(kind);
        }
    }
    for (status, kinds) in kinds {
        let response = with_headers(&E::INFO, failure(generator, &kinds));
        let response = match E::INFO.has_page {
            true => for_browsers(response),
            false => share(shared, &name(&E::INFO, status, &kinds), response),
        };
        responses.insert(status.to_string(), response);
    }
    // An endpoint that always fails has no successful answer.
    if E::INFO.path != GetRateLimited::INFO.path {
        let response = with_headers(&E::INFO, success::<E::Response>(generator));
        let mut response = if E::INFO.has_page { for_browsers(response) } else { response };
        if E::INFO.path == CheckAccess::INFO.path {
            Header::FORWARD_AUTH.into_iter().for_each(|header| add_header(&mut response, header));
        }
        responses.insert(<E::Response as Reply>::STATUS.to_string(), response);
    }
    if E::INFO.path == GetRevocations::INFO.path {
        add_stream(&mut responses);
    }
    responses
}

fn success<R: Reply>(generator: &mut SchemaGenerator) -> Value {
    let mut response = json!({ "description": "Success" });
    if R::STATUS != 204 {
        let schema = generator.subschema_for::<R>();
        insert(&mut response, "content", json!({ "application/json": { "schema": schema } }));
    }
    if R::STATUS == 201 || R::STATUS == 302 {
        add_header(&mut response, Header::Location);
    }
    response
}

/// Returns the response of errors that have the same status.
fn failure(generator: &mut SchemaGenerator, kinds: &[ErrorKind]) -> Value {
    let lines: Vec<_> = kinds.iter().map(|kind| format!("- `{kind}`: {}", kind.title())).collect();
    let example = |kind: &ErrorKind| {
        let code = kind.code();
        (code.to_owned(), json!({ "$ref": format!("#/components/examples/{code}") }))
    };
    let examples: Map<_, _> = kinds.iter().map(example).collect();
    let problem = generator.subschema_for::<Problem>();
    let content = json!({ "application/problem+json": { "schema": problem, "examples": examples } });
    let mut response = json!({ "description": lines.join("\n"), "content": content });
    if kinds.iter().any(|kind| api::challenge(*kind).is_some()) {
        add_header(&mut response, Header::WwwAuthenticate);
    }
    if kinds.iter().any(|kind| matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Overloaded))
    {
        add_header(&mut response, Header::RetryAfter);
    }
    response
}

/// Returns the name of a response that endpoints share.
fn name(info: &Info, status: u16, kinds: &[ErrorKind]) -> String {
    let codes: Vec<_> = kinds.iter().map(|kind| kind.code()).collect();
    let unlimited = if info.limit == RateClass::Exempt { ".unlimited" } else { "" };
    format!("{status}.{}{unlimited}", codes.join("."))
}

/// Adds a response to the shared ones. Returns a reference to it.
fn share(shared: &mut BTreeMap<String, Value>, name: &str, response: Value) -> Value {
    shared.insert(name.to_owned(), response);
    json!({ "$ref": format!("#/components/responses/{name}") })
}

/// Adds the page to a response.
fn for_browsers(mut response: Value) -> Value {
    if let Some(content) = response.get_mut("content") {
        insert(content, "text/html", json!({ "schema": { "type": "string" } }));
    }
    response
}

/// Adds what only the list of revocations has: an entity tag, and a stream of events.
fn add_stream(responses: &mut BTreeMap<String, Value>) {
    let unchanged = json!({ "description": "The same tokens are revoked" });
    responses.insert("304".to_owned(), with_headers(&GetRevocations::INFO, unchanged));
    for status in ["200", "304"] {
        responses.get_mut(status).into_iter().for_each(|response| add_header(response, Header::ETag));
    }
    if let Some(content) = responses.get_mut("200").and_then(|response| response.get_mut("content")) {
        let event = json!({ "type": "string", "description": "Events whose data is a `RevocationPage`" });
        insert(content, "text/event-stream", json!({ "schema": event }));
    }
}

/// Adds the headers that every response of an endpoint has.
fn with_headers(info: &Info, mut response: Value) -> Value {
    add_header(&mut response, Header::RequestId);
    if info.limit != RateClass::Exempt {
        add_header(&mut response, Header::RateLimit);
        add_header(&mut response, Header::RateLimitPolicy);
    }
    response
}

fn add_header(response: &mut Value, header: Header) {
    if let Some(response) = response.as_object_mut() {
        let headers = response.entry("headers").or_insert_with(|| json!({}));
        insert(headers, header.name(), json!({ "$ref": format!("#/components/headers/{}", header.name()) }));
    }
}

/// Returns the errors of an endpoint, its own first.
fn errors(info: &Info) -> Vec<ErrorKind> {
    use ErrorKind::*;
    let mut kinds = info.errors.to_vec();
    if info.has_body() {
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
