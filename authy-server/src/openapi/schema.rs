//! What the schemas of the types do not say by themselves.

use serde_json::{Value, json};

use super::insert;

/// Refuses unknown fields: the schema is that of a body.
pub(super) fn close(schema: &mut Value) {
    insert(schema, "additionalProperties", json!(false));
}

/// Removes `null` from the types of optional properties. Where one of them has no value, it is omitted. In a body,
/// `null` means the same as an omitted field, so the schemas of bodies keep it.
pub(super) fn omit_null(schema: &mut Value) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|known| known == name));
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
        remove_null(property);
    }
}

fn remove_null(schema: &mut Value) {
    for key in ["type", "enum", "anyOf"] {
        let Some(Value::Array(alternatives)) = schema.get_mut(key) else { continue };
        alternatives.retain(|one| !one.is_null() && one != "null" && *one != json!({ "type": "null" }));
        if let ([only], "type") = (alternatives.as_slice(), key) {
            let only = only.clone();
            insert(schema, key, only);
        }
    }
    // What is left of a reference that could be null.
    if let Some([only]) = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
        let only = only.as_object().cloned().unwrap_or_default();
        if let Some(object) = schema.as_object_mut() {
            object.remove("anyOf");
            object.extend(only);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_required_can_be_null() {
        let nullable = json!({ "type": ["string", "null"] });
        let reference =
            json!({ "anyOf": [{ "$ref": "#/components/schemas/A" }, { "type": "null" }], "description": "d" });
        let named = json!({ "type": ["string", "null"], "enum": ["a", null] });
        let mut schema = json!({
            "properties": { "a": nullable, "b": nullable, "c": reference, "d": named },
            "required": ["a"],
        });
        omit_null(&mut schema);
        let expected = json!({
            "a": nullable,
            "b": { "type": "string" },
            "c": { "$ref": "#/components/schemas/A", "description": "d" },
            "d": { "type": "string", "enum": ["a"] },
        });
        assert_eq!(schema["properties"], expected);
    }
}
