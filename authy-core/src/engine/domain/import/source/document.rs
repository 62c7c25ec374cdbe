//! Reads the exports of other systems from parsed JSON.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;

/// Returns the users of a document: a list of them, an object with a list `users`, or a list of such objects.
pub(super) fn users(document: Value) -> Vec<Value> {
    match document {
        Value::Object(mut fields) => match fields.remove("users") {
            Some(Value::Array(users)) => users,
            _ => Vec::new(),
        },
        Value::Array(items) => {
            let is_group = |item: &Value| item.get("users").is_some_and(Value::is_array);
            items.into_iter().flat_map(|item| if is_group(&item) { users(item) } else { vec![item] }).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the text at a path of fields. An empty text counts as none.
pub(super) fn text(value: &Value, path: &str) -> Option<String> {
    let found = path.split('.').try_fold(value, |value, field| value.get(field))?;
    match found {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns whether a field is `true`.
pub(super) fn flag(value: &Value, field: &str) -> bool {
    value.get(field) == Some(&Value::Bool(true))
}

/// Returns the texts of a list.
pub(super) fn texts(value: &Value, field: &str) -> Vec<String> {
    let items = value.get(field).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns a time in milliseconds since 1970, as a number or a text.
pub(super) fn millis(value: &Value, field: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(text(value, field)?.parse().ok()?)
}

/// Returns a time in RFC 3339, or as PostgreSQL prints it.
pub(super) fn time(value: &Value, field: &str) -> Option<DateTime<Utc>> {
    let text = text(value, field)?;
    let postgres = || DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%#z").map(|time| time.to_utc()).ok();
    let no_zone = || NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()).ok();
    DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc()).ok().or_else(postgres).or_else(no_zone)
}
