//! What of the answers may be shown: no secret of the recording, and none of the answers.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use percent_encoding::percent_decode_str;
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
        self.learn_form(request.target.query().unwrap_or_default().as_bytes());
        match serde_json::from_slice::<Value>(&request.body) {
            Ok(body) => self.learn("", &body),
            // A form, as a page sends it. Of anything else, no pair has the name of a secret.
            Err(_) => self.learn_form(&request.body),
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
            Value::String(text) if is_secret(name, value) => self.add(text),
            Value::Number(number) if is_secret(name, value) => self.add(&number.to_string()),
            _ => {}
        }
    }

    fn learn_form(&mut self, bytes: &[u8]) {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(bytes).unwrap_or_default();
        for (name, value) in pairs {
            let value = Zeroizing::new(value);
            if is_secret_name(&name) || is_one_time_code(&name, &value) {
                self.add(&value);
            }
        }
    }

    /// Takes a secret in each form that an answer may repeat it in: as it is, without the encodings that it may have been sent
    /// in, and as in a JSON text.
    fn add(&mut self, secret: &str) {
        let mut forms = vec![Zeroizing::new(secret.to_owned())];
        forms.extend(percent_decoded(secret).into_iter().map(Zeroizing::new));
        // A client of the first authy sends a password so.
        let bytes = BASE64_STANDARD.decode(secret).ok();
        forms.extend(bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(Zeroizing::new));
        for form in forms {
            let in_json = Zeroizing::new(Value::from(form.as_str()).to_string());
            self.add_form(in_json.trim_matches('"'));
            self.add_form(&form);
        }
    }

    fn add_form(&mut self, form: &str) {
        if form.len() >= MIN_SECRET && !self.0.iter().any(|known| known.as_str() == form) {
            self.0.push(Zeroizing::new(form.to_owned()));
        }
    }

    /// Returns a value of a field for people.
    pub(super) fn shown(&self, name: &str, value: &Value) -> String {
        let text = value.to_string();
        if self.has_secret(name, value) || self.is_seen_in(&text) {
            return REDACTED.to_owned();
        }
        match text.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}…", plain(text.get(..end).unwrap_or_default())),
            None => plain(&text),
        }
    }

    /// Returns whether there is a secret in a value of a field: its own text, without the escapes of JSON, is what was seen
    /// elsewhere.
    fn has_secret(&self, name: &str, value: &Value) -> bool {
        match value {
            Value::Object(fields) => {
                fields.iter().any(|(name, value)| self.is_seen_in(name) || self.has_secret(name, value))
            }
            Value::Array(items) => items.iter().any(|item| self.has_secret(name, item)),
            Value::String(text) => is_secret(name, value) || self.is_seen_in(text),
            Value::Number(_) => is_secret(name, value),
            Value::Null | Value::Bool(_) => false,
        }
    }

    /// Returns a text without a secret for people; `other` when there is one in it.
    pub(super) fn text(&self, text: &str, other: &str) -> String {
        match self.is_seen_in(text) {
            true => plain(other),
            false => plain(text),
        }
    }

    fn is_seen_in(&self, text: &str) -> bool {
        let has_one = |text: &str| looks_secret(text) || self.0.iter().any(|secret| text.contains(secret.as_str()));
        has_one(text) || percent_decoded(text).is_some_and(|decoded| has_one(&decoded))
    }
}

/// Returns the text that a percent-encoded one stands for; `None` when there is nothing to decode.
fn percent_decoded(text: &str) -> Option<String> {
    let decoded = || Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    text.contains('%').then(decoded).flatten()
}

/// Returns whether the value of a field is a secret by the name of the field.
fn is_secret(name: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => is_secret_name(name) || is_one_time_code(name, text),
        // Of a smaller number as `code`, a status is meant.
        Value::Number(number) => {
            is_secret_name(name) || name == "code" && number.as_u64().is_some_and(|code| code > 999)
        }
        _ => false,
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
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::recording::Recording, *};

    fn redactor(line: &Value) -> Redactor {
        let mut redactor = Redactor::default();
        redactor.learn_request(&Recording::parse(line.to_string().as_bytes()).unwrap().requests[0]);
        redactor
    }

    #[test]
    fn no_secret_is_shown_by_name_by_shape_or_because_it_was_seen() {
        let line = json!({
            "path": "/authy/login", "headers": { "authorization": "Bearer seen-token" },
            "body": { "username": "ada", "password": "seen-password", "nested": [{ "code": "SeenCode1" }] },
        });
        let redactor = redactor(&line);
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

    #[test]
    fn a_number_a_form_and_an_encoded_text_are_secrets_too() {
        let form =
            json!({ "path": "/authy/login?token=in%20the%20query", "body": "username=ada&password=a%22b%5Cc%26d+e" });
        let redactor = redactor(&form);
        for (name, value) in [
            ("message", json!("wrong: a\"b\\c&d e")),
            ("message", json!("wrong: in the query")),
            ("other", json!({ "a\"b\\c&d e": 1 })),
            ("other", json!({ "pin": 1, "deep": [{ "password": 12 }] })),
            ("password", json!(["x", "y"])),
            ("code", json!(123_456)),
        ] {
            assert_eq!(redactor.shown(name, &value), REDACTED, "{name} {value}");
        }
        assert_eq!(redactor.shown("code", &json!(401)), "401");
        assert_eq!(redactor.text("/authy/fetch/a%22b%5Cc%26d%20e", "other"), "other");
        let number = json!({ "path": "/authy/login", "body": { "username": "ada", "password": 12_345_678 } });
        assert_eq!(super::tests::redactor(&number).shown("message", &json!("12345678 is wrong")), REDACTED);
        let sent_in_base64 = json!({ "path": "/authy/login", "body": { "password": "c2Vlbi1wYXNzd29yZA==" } });
        assert_eq!(super::tests::redactor(&sent_in_base64).shown("message", &json!("seen-password")), REDACTED);
    }

    proptest! {
        #[test]
        fn no_password_is_shown_wherever_and_however_an_answer_repeats_it(
            password in "\\PC{4,12}|[\"\\\\%&+=/ \n\t\u{1}\u{1b}a-c]{4,12}",
            before in "[a-z \"]{0,5}",
            as_form in any::<bool>(),
        ) {
            let encoded = serde_urlencoded::to_string([("username", "ada"), ("password", password.as_str())]).unwrap();
            let body = if as_form { json!(encoded) } else { json!({ "username": "ada", "password": password }) };
            let redactor = redactor(&json!({ "path": "/authy/login", "body": body }));
            let in_json = json!({ "said": password }).to_string();
            let in_path = percent_encoding::utf8_percent_encode(&password, percent_encoding::NON_ALPHANUMERIC).to_string();
            for text in [password.clone(), in_json, in_path.clone()] {
                let text = format!("{before}{text}{before}");
                for value in [json!(text), json!([1, { "deep": [text] }]), json!({ text: null })] {
                    prop_assert_eq!(redactor.shown("message", &value), REDACTED, "{}", value);
                }
            }
            prop_assert_eq!(redactor.text(&format!("/authy/fetch/{in_path}"), "other"), "other");
        }
    }
}
