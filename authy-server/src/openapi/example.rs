//! Examples: of each problem, and of each body, put together from the examples of the types of its fields.

use authy_core::{Error, ErrorKind, api::Problem};
use serde_json::{Map, Value, json};

use super::insert;

/// Returns an example of each problem, by its code.
pub(super) fn problems() -> Map<String, Value> {
    let problem = |kind: &ErrorKind| {
        let problem = Problem::of(&Error::new(*kind, kind.title()), "5f1c9e0a");
        (kind.code().to_owned(), json!({ "summary": kind.title(), "value": problem }))
    };
    // The document describes no request with a wrong method.
    ErrorKind::ALL.iter().filter(|kind| **kind != ErrorKind::MethodNotAllowed).map(problem).collect()
}

/// Adds an example to each JSON body within a part of the document.
pub(super) fn add(part: &mut Value, schemas: &Map<String, Value>) {
    let Some(part) = part.as_object_mut() else { return };
    if let Some(media) = part.get_mut("application/json")
        && let Some(example) = media.get("schema").and_then(|schema| example(schema, schemas))
    {
        insert(media, "example", example);
    }
    part.values_mut().for_each(|part| add(part, schemas));
}

/// Returns an example of a schema; `None` when neither it nor what it consists of has one.
fn example(schema: &Value, schemas: &Map<String, Value>) -> Option<Value> {
    let given = schema.pointer("/examples/0").or(schema.get("const")).or(schema.pointer("/enum/0"));
    if given.is_some() {
        return given.cloned();
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return example(schemas.get(reference.strip_prefix("#/components/schemas/")?)?, schemas);
    }
    let kind = schema.get("type").map(|kind| kind.get(0).unwrap_or(kind)).and_then(Value::as_str);
    match kind {
        Some("boolean") => Some(json!(false)),
        Some("integer") => Some(json!(1)),
        Some("array") => Some(json!([example(schema.get("items")?, schemas)?])),
        // A combination of schemas is one of objects.
        Some("object") | None => Some(object(schema, schemas).into()),
        Some(_) => None,
    }
}

/// Returns an example of an object: all properties that have one, of all parts, and of the first alternative.
fn object(schema: &Value, schemas: &Map<String, Value>) -> Map<String, Value> {
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let parts = parts.chain(schema.pointer("/oneOf/0")).filter_map(|part| example(part, schemas));
    let mut object = Map::new();
    for part in parts {
        object.extend(part.as_object().cloned().unwrap_or_default());
    }
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|required| required.iter().any(|other| other == name));
    // An optional one is there only when it is true.
    let is_absent = |name: &str, property: &Value| property["type"] == "boolean" && !is_required(name);
    let shown = properties.filter(|(name, property)| !is_absent(name, property));
    object.extend(shown.filter_map(|(name, property)| Some((name.clone(), example(property, schemas)?))));
    object
}

#[cfg(test)]
mod tests {
    use authy_core::api::{self, Endpoint, Fields, Reply, Request, Visitor, system::GetRateLimited};

    use super::*;
    use crate::openapi::document;

    /// Reads the examples of every endpoint, as the server and the client would.
    struct Reader(Value);

    impl Reader {
        fn operation<E: Endpoint>(&self) -> &Value {
            &self.0["paths"][E::INFO.path][E::INFO.method.as_str().to_ascii_lowercase()]
        }

        fn request<E: Endpoint>(&self) -> Option<&Value> {
            let has_fields = E::INFO.has_body() && !E::Request::FIELDS.is_empty();
            has_fields.then(|| &self.operation::<E>()["requestBody"]["content"]["application/json"])
        }
    }

    fn read<R: Request>(body: &Value) -> authy_core::Result<R> {
        R::from_fields(Fields::from_json(body.to_string().as_bytes()).unwrap())
    }

    struct Bodies(Reader);

    impl Visitor for Bodies {
        fn visit<E: Endpoint>(&mut self) {
            if let Some(media) = self.0.request::<E>() {
                let request = read::<E::Request>(&media["example"]).unwrap();
                assert_eq!(serde_json::to_value(request).unwrap(), media["example"], "{}", E::INFO.name);
            }
            let status = <E::Response as Reply>::STATUS;
            if status != 204 && E::INFO.path != GetRateLimited::INFO.path {
                let example =
                    &self.0.operation::<E>()["responses"][status.to_string()]["content"]["application/json"]["example"];
                let response: E::Response = serde_json::from_value(example.clone()).unwrap();
                assert_eq!(serde_json::to_value(response).unwrap(), *example, "{}", E::INFO.name);
            }
        }
    }

    #[test]
    fn every_body_has_an_example_that_is_read_as_its_type() {
        api::visit(&mut Bodies(Reader(Value::Object(document()))));
    }

    struct Nulls(Reader);

    impl Visitor for Nulls {
        fn visit<E: Endpoint>(&mut self) {
            let Some(media) = self.0.request::<E>() else { return };
            let reference = media["schema"]["$ref"].as_str().unwrap();
            let schema = self.0.0.pointer(&reference[1..]).unwrap();
            for (name, property) in schema["properties"].as_object().unwrap() {
                let outcome = |change: &dyn Fn(&mut Map<String, Value>)| {
                    let mut body = media["example"].as_object().cloned().unwrap();
                    change(&mut body);
                    let request = read::<E::Request>(&body.into()).map_err(|error| error.fields().to_vec());
                    request.map(|request| serde_json::to_value(request).unwrap())
                };
                let null = outcome(&|body| drop(body.insert(name.clone(), Value::Null)));
                let omitted = outcome(&|body| drop(body.remove(name)));
                let may_be_null = property["type"].as_array().is_some_and(|types| types.contains(&"null".into()));
                assert_eq!(null == omitted, may_be_null, "{}: {name}", E::INFO.name);
            }
        }
    }

    #[test]
    fn null_in_a_body_is_an_omitted_field_where_the_schema_has_it_and_refused_elsewhere() {
        api::visit(&mut Nulls(Reader(Value::Object(document()))));
    }
}
