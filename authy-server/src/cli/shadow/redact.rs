//! What of the answers may be shown: no secret of the recording, and none of the answers.

use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    Sides,
    answer::{Answer, Body},
    recording::RecordedRequest,
    tokens::recorded_token,
};
use crate::cli::arguments::plain;

/// What is shown in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// Maximum length of a value that is shown, in characters.
const MAX_SHOWN: usize = 80;

/// Minimum length of a secret that is looked for in other texts, in bytes. Shorter ones are in every text.
const MIN_SECRET: usize = 4;

/// Parts of the names of fields whose values are never shown.
const SECRET_PARTS: &[&str] = &["password", "passwd", "secret", "cookie"];

/// Ends of such names. `token_endpoint` names no token, and `token_type` its kind.
const SECRET_ENDS: &[&str] = &["token", "hash", "_string", "authorization"];

/// Knows the secrets that were recorded, sent and received.
#[derive(Default)]
pub(super) struct Redactor(Vec<Zeroizing<String>>);

impl Redactor {
    /// Takes the secrets of a request.
    pub(super) fn learn_request(&mut self, request: &RecordedRequest) {
        self.add(recorded_token(&request.headers).unwrap_or_default());
        self.add(request.answered_token.as_ref().map(authy_core::Secret::expose).unwrap_or_default());
        if let Ok(body) = serde_json::from_slice::<Value>(&request.body) {
            self.learn("", &body);
        }
    }

    /// Takes the secrets of the answers.
    pub(super) fn learn_answers(&mut self, answers: &Sides<Answer>) {
        for answer in [&answers.old, &answers.new] {
            if let Answer::Received { body: Body::Json(body), .. } = answer {
                self.learn("", body);
            }
        }
    }

    fn learn(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| self.learn(name, value)),
            Value::Array(items) => items.iter().for_each(|item| self.learn(name, item)),
            Value::String(text) if is_secret_name(name) || is_one_time_code(name, text) => self.add(text),
            _ => {}
        }
    }

    fn add(&mut self, secret: &str) {
        if secret.len() >= MIN_SECRET && !self.0.iter().any(|known| known.as_str() == secret) {
            self.0.push(Zeroizing::new(secret.to_owned()));
        }
    }

    /// Returns a value of a field for people.
    pub(super) fn shown(&self, name: &str, value: &Value) -> String {
        let text = value.to_string();
        let is_secret =
            value.is_string() && (is_secret_name(name) || is_one_time_code(name, value.as_str().unwrap_or_default()));
        if is_secret || looks_secret(&text) || self.0.iter().any(|secret| text.contains(secret.as_str())) {
            return REDACTED.to_owned();
        }
        match text.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}…", plain(text.get(..end).unwrap_or_default())),
            None => plain(&text),
        }
    }

    /// Returns a text without a secret for people; `other` when there is one in it.
    pub(super) fn text(&self, text: &str, other: &str) -> String {
        match looks_secret(text) || self.0.iter().any(|secret| text.contains(secret.as_str())) {
            true => plain(other),
            false => plain(text),
        }
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_PARTS.iter().any(|part| name.contains(part)) || SECRET_ENDS.iter().any(|end| name.ends_with(end))
}

/// Returns whether a field `code` is a code of a mail: the code of an error has lower-case letters alone.
fn is_one_time_code(name: &str, text: &str) -> bool {
    name == "code" && !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Returns whether a JWT is in a text: each begins with a JSON object in base64.
fn looks_secret(text: &str) -> bool {
    text.contains("eyJ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::recording::Recording, *};

    #[test]
    fn no_secret_is_shown_by_name_by_shape_or_because_it_was_seen() {
        let line = json!({
            "path": "/authy/login", "headers": { "authorization": "Bearer seen-token" },
            "body": { "username": "ada", "password": "seen-password", "nested": [{ "code": "SeenCode1" }] },
        });
        let mut redactor = Redactor::default();
        redactor.learn_request(&Recording::parse(line.to_string().as_bytes()).unwrap().requests[0]);
        for (name, value) in [
            ("refresh_token", json!("hunter2")),
            ("validation_string", json!("hunter2")),
            ("code", json!("hunter2")),
            ("message", json!("wrong: seen-password")),
            ("message", json!("wrong: seen-token")),
            ("other", json!({ "a": ["SeenCode1"] })),
            ("other", json!("eyJhbGciOiJIUzUxMiJ9.e30.x")),
        ] {
            assert_eq!(redactor.shown(name, &value), REDACTED, "{name} {value}");
        }
        for (name, value, shown) in [
            ("code", json!("invalid_token"), "\"invalid_token\""),
            ("token_type", json!("Bearer"), "\"Bearer\""),
            ("token_endpoint", json!("/authy/token"), "\"/authy/token\""),
            ("level", json!(10), "10"),
            ("message", json!("\u{1b}[31m"), "\"\\u001b[31m\""),
        ] {
            assert_eq!(redactor.shown(name, &value), shown);
        }
        assert!(redactor.shown("message", &json!("ü".repeat(1000))).len() < 200);
        assert_eq!(redactor.text("/authy/fetch/seen-password", "/authy/fetch/{username}"), "/authy/fetch/{username}");
    }
}
