//! What differs between two answers: the status, and each field of the JSON.

use std::fmt;

use serde_json::Value;

use super::{
    Sides,
    answer::{Answer, Body},
    redact::{REDACTED, Redactor},
};

/// Maximum number of differing fields that are noted of an answer: a list of another order differs in each.
const MAX_DIFFERENCES: usize = 200;

/// Fields whose values are others at every call. Only the kinds of their values are compared.
const VOLATILE: &[&str] = &[
    "token",
    "refresh_token",
    "device_token",
    "expires",
    "expires_at",
    "refresh_expires_at",
    "last_login",
    "last_used",
    "session_id",
    "request_id",
    "event_id",
    "code_id",
    "happened",
];

/// What a difference of the outermost values is called.
const WHOLE: &str = "(the whole)";

/// A difference.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) what: What,
    /// The field with its place in lists, such as `roles[0].name`.
    pub(super) field: Option<String>,
    /// Both values for people, without secrets. Empty where there is none.
    pub(super) shown: Sides<String>,
}

/// The kind of a difference, by which they are counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Status {
        old: u16,
        new: u16,
    },
    /// The kind of the body, or that there is no answer.
    Body {
        old: &'static str,
        new: &'static str,
    },
    /// A field, without places in lists: `roles[].name`.
    Field {
        path: String,
        how: How,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    OnlyOld,
    OnlyNew,
    Differs,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { old, new } => write!(f, "status {old} -> {new}"),
            Self::Body { old, new } => write!(f, "body {old} -> {new}"),
            Self::Field { path, how } => write!(f, "field {path} {how}"),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyOld => "is missing in the new answer",
            Self::OnlyNew => "is new",
            Self::Differs => "differs",
        })
    }
}

/// Compares two answers.
pub(super) fn compare(answers: &Sides<Answer>, redactor: &Redactor) -> Vec<Difference> {
    let (old, new) = match (&answers.old, &answers.new) {
        (Answer::Received { status, body }, Answer::Received { status: other, body: other_body }) => {
            ((status, body), (other, other_body))
        }
        (Answer::Missing(_), Answer::Missing(_)) => return Vec::new(),
        (old, new) => {
            let kind = |answer: &Answer| match answer {
                Answer::Missing(why) => *why,
                Answer::Received { .. } => "an answer",
            };
            let status = |answer: &Answer| answer.status().map(|status| status.to_string()).unwrap_or_default();
            let what = What::Body { old: kind(old), new: kind(new) };
            return vec![Difference { what, field: None, shown: Sides { old: status(old), new: status(new) } }];
        }
    };
    let mut found = Vec::new();
    if old.0 != new.0 {
        let what = What::Status { old: old.0.as_u16(), new: new.0.as_u16() };
        let shown = Sides { old: reason(old.1, redactor), new: reason(new.1, redactor) };
        found.push(Difference { what, field: None, shown });
    }
    let is_alike = old.0.is_success() == new.0.is_success();
    match (old.1, new.1) {
        // The body of an error has nothing in common with that of a success.
        (Body::Json(old), Body::Json(new)) if is_alike => {
            let mut fields = Fields { redactor, found };
            fields.compare(&FieldPath::default(), "", old, new);
            found = fields.found;
        }
        (old_body, new_body) if old.0 == new.0 && old_body.kind() != new_body.kind() => {
            let what = What::Body { old: old_body.kind(), new: new_body.kind() };
            found.push(Difference { what, field: None, shown: Sides::default() });
        }
        _ => {}
    }
    found
}

/// Returns what an answer says about its status.
fn reason(body: &Body, redactor: &Redactor) -> String {
    let Body::Json(body) = body else { return String::new() };
    let said = ["code", "message"].iter().find_map(|name| Some(redactor.shown(name, body.get(*name)?)));
    said.unwrap_or_default()
}

/// Where a value is, with and without places in lists.
#[derive(Clone, Default)]
struct FieldPath {
    exact: String,
    general: String,
}

impl FieldPath {
    fn field(&self, name: &str) -> Self {
        let dot = if self.exact.is_empty() { "" } else { "." };
        Self { exact: format!("{}{dot}{name}", self.exact), general: format!("{}{dot}{name}", self.general) }
    }

    fn item(&self, number: usize) -> Self {
        Self { exact: format!("{}[{number}]", self.exact), general: format!("{}[]", self.general) }
    }
}

struct Fields<'a> {
    redactor: &'a Redactor,
    found: Vec<Difference>,
}

impl Fields<'_> {
    fn compare(&mut self, path: &FieldPath, name: &str, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                for (name, value) in old {
                    self.value(&path.field(name), name, Some(value), new.get(name));
                }
                for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                    self.value(&path.field(name), name, None, Some(value));
                }
            }
            (Value::Array(old), Value::Array(new)) => {
                for number in 0..old.len().max(new.len()) {
                    self.value(&path.item(number), name, old.get(number), new.get(number));
                }
            }
            _ if is_same(name, old, new) => {}
            _ => self.add(path, name, Some(old), Some(new)),
        }
    }

    fn value(&mut self, path: &FieldPath, name: &str, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(old), Some(new)) => self.compare(path, name, old, new),
            (old, new) => self.add(path, name, old, new),
        }
    }

    fn add(&mut self, path: &FieldPath, name: &str, old: Option<&Value>, new: Option<&Value>) {
        if self.found.len() >= MAX_DIFFERENCES {
            return;
        }
        let how = match (old, new) {
            (Some(_), None) => How::OnlyOld,
            (None, Some(_)) => How::OnlyNew,
            _ => How::Differs,
        };
        let shown = |value: Option<&Value>| value.map(|value| self.redactor.shown(name, value)).unwrap_or_default();
        let shown = Sides { old: shown(old), new: shown(new) };
        // A name is data of a server too.
        let name_of = |path: &str| if path.is_empty() { WHOLE.to_owned() } else { self.redactor.text(path, REDACTED) };
        let (general, exact) = (name_of(&path.general), name_of(&path.exact));
        self.found.push(Difference { what: What::Field { path: general, how }, field: Some(exact), shown });
    }
}

/// Returns whether two values are the same, or of the same kind where they are others at every call.
fn is_same(name: &str, old: &Value, new: &Value) -> bool {
    if old == new {
        return true;
    }
    let kinds = (kind(old), kind(new));
    kinds.0 == kinds.1 && (VOLATILE.contains(&name) || kinds.0 == Kind::Jwt)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Number,
    List,
    Object,
    Jwt,
    Uuid,
    /// RFC 1123, as in headers.
    HttpDate,
    /// RFC 3339.
    Timestamp,
    Text,
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Bool,
        Value::Number(_) => Kind::Number,
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Object,
        Value::String(text) => kind_of_text(text),
    }
}

fn kind_of_text(text: &str) -> Kind {
    let has = |places: &[usize], byte: u8| places.iter().all(|at| text.as_bytes().get(*at) == Some(&byte));
    match text.len() {
        _ if text.starts_with("eyJ") && text.split('.').count() == 3 => Kind::Jwt,
        36 if has(&[8, 13, 18, 23], b'-') => Kind::Uuid,
        29 if text.ends_with(" GMT") && has(&[3], b',') => Kind::HttpDate,
        19.. if has(&[4, 7], b'-') && has(&[13, 16], b':') => Kind::Timestamp,
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: Value) -> Answer {
        Answer::Received { status: StatusCode::from_u16(status).unwrap(), body: Body::Json(body) }
    }

    fn found(old: Answer, new: Answer) -> Vec<String> {
        let found = compare(&Sides { old, new }, &Redactor::default());
        found.into_iter().map(|difference| difference.what.to_string()).collect()
    }

    #[test]
    fn fields_are_compared_by_path_and_lists_by_place() {
        let old = json!({ "roles": [{ "name": "user", "level": 10 }, { "name": "x" }], "gone": null, "n": 1 });
        let new = json!({ "roles": [{ "name": "guest", "level": "10" }], "n": 1, "more": [] });
        assert_eq!(
            found(answer(200, old), answer(200, new)),
            [
                "field gone is missing in the new answer",
                "field roles[].level differs",
                "field roles[].name differs",
                "field roles[] is missing in the new answer",
                "field more is new",
            ]
        );
    }

    #[test]
    fn what_is_another_at_every_call_is_compared_by_its_kind() {
        let date = "Tue, 11 Jun 2019 10:03:09 GMT";
        let later = "Wed, 12 Jun 2019 10:03:09 GMT";
        let same = |name: &str, old: Value, new: Value| {
            found(answer(200, json!({ name: old })), answer(200, json!({ name: new }))).is_empty()
        };
        assert!(same("token", json!("eyJh.eyJi.c"), json!("eyJx.eyJy.z")));
        assert!(same("last_login", json!(date), json!(later)));
        for (name, old, new) in [
            ("token", json!("eyJh.eyJi.c"), json!("opaque")),
            ("last_login", json!(date), json!(null)),
            ("last_login", json!(date), json!("2019-06-11T10:03:09Z")),
            // Those are kept.
            ("created", json!(date), json!(later)),
            ("public_id", json!("5e8f2a52-3b7c-4c1e-9a50-7d3c1b0f9e24"), json!("6e8f2a52-3b7c-4c1e-9a50-7d3c1b0f9e24")),
        ] {
            assert!(!same(name, old.clone(), new.clone()), "{name}: {old} {new}");
        }
    }

    #[test]
    fn bodies_are_compared_where_both_succeed_or_both_fail() {
        let error = || json!({ "message": "x" });
        assert_eq!(found(answer(200, json!({ "a": 1 })), answer(401, error())), ["status 200 -> 401"]);
        assert_eq!(found(answer(401, error()), answer(403, json!({ "b": 1 }))).len(), 3);
        let none = |status| Answer::Received { status, body: Body::None };
        assert_eq!(found(none(StatusCode::NO_CONTENT), answer(200, json!({}))), ["status 204 -> 200"]);
        assert_eq!(found(none(StatusCode::OK), answer(200, json!({}))), ["body none -> JSON"]);
        let missing = || Answer::Missing("no answer");
        assert_eq!(found(missing(), answer(200, error())), ["body no answer -> an answer"]);
        assert!(found(missing(), missing()).is_empty());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(json!(null)), any::<i64>().prop_map(|n| json!(n)), "[a-c]{0,2}".prop_map(|s| json!(s))];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let object = prop::collection::btree_map("[a-c]", inner, 0..4);
            prop_oneof![list, object.prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into())]
        })
    }

    proptest! {
        #[test]
        fn an_answer_is_the_same_as_itself_and_differs_from_every_other(old in values(), new in values()) {
            prop_assert!(found(answer(200, old.clone()), answer(200, old.clone())).is_empty());
            let differences = found(answer(200, old.clone()), answer(200, new.clone()));
            prop_assert_eq!(differences.is_empty(), old == new);
            // The same from the other side.
            prop_assert_eq!(differences.len(), found(answer(200, new), answer(200, old)).len());
        }
    }
}
