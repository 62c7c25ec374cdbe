//! Forms: what is read of them, and what a page shows of one that was refused.

use std::{collections::BTreeMap, error::Error as StdError, time::Duration};

use authy_core::{
    Error, ErrorKind,
    api::body,
    error::{FieldError, Strength},
};
use bytes::Bytes;
use http::request::Parts;
use hyper::body::Body;
use serde::Serialize;

use super::texts::Texts;
use crate::{error_reply::ErrorReply, request};

/// Maximum number of fields. Those of ours have at most five.
const MAX_FIELDS: usize = 64;

/// The fields of a form, or the parameters of a query.
#[derive(Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the form in the body of a request.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedMediaType`] when it is no form, and those of reading a body.
    pub(crate) async fn read<B>(head: &Parts, body: B, timeout: Duration) -> Result<Self, ErrorReply>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        if body.is_end_stream() {
            return Ok(Self::default());
        }
        if body::media_type(&head.headers) != "application/x-www-form-urlencoded" {
            return Err(ErrorReply::new(ErrorKind::UnsupportedMediaType, "this page reads forms alone"));
        }
        Ok(Self::parse(&request::body(body, timeout).await?))
    }

    /// Reads pairs as a browser writes them. Pairs beyond the maximum are ignored, and not decoded.
    pub(super) fn parse(text: &[u8]) -> Self {
        let end = text.iter().enumerate().filter(|(_, byte)| **byte == b'&').nth(MAX_FIELDS - 1);
        let text = text.get(..end.map_or(text.len(), |(end, _)| end)).unwrap_or_default();
        // Never fails: what cannot be decoded is replaced.
        Self(serde_urlencoded::from_bytes(text).unwrap_or_default())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    /// Returns the value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a page shows of a form: empty, or refused, with what was typed and what is wrong with it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct FormState {
    /// What was typed, by the name of the field. Never a password.
    pub(super) values: BTreeMap<String, String>,
    /// What is wrong, by the name of the field.
    pub(super) errors: BTreeMap<String, String>,
    /// The first field that is wrong, which gets the focus.
    pub(super) focus: Option<String>,
    /// What is wrong with no field in particular.
    pub(super) alert: Option<String>,
    /// How strong the new password is.
    pub(super) strength: Option<ShownStrength>,
}

/// The strength of a password that is too weak.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ShownStrength {
    /// From 0 to 4.
    pub(super) score: u8,
    pub(super) suggestions: Vec<String>,
}

impl FormState {
    /// Returns the form with what was typed into some of its fields.
    pub(super) fn typed(form: &Form, names: &[&str]) -> Self {
        let typed = |name: &&str| Some(((*name).to_owned(), form.get(name)?.to_owned()));
        Self { values: names.iter().filter_map(typed).collect(), ..Self::default() }
    }

    /// Adds why the form was refused. An error that is not about one of `fields` is shown above them.
    pub(super) fn refuse(mut self, texts: &Texts, error: &Error, fields: &[&str]) -> Self {
        for FieldError { field, message, code } in error.fields() {
            if fields.contains(&field.as_str()) {
                let said = texts.find(&format!("field.{code}")).map_or_else(|| texts.sentence(message), str::to_owned);
                self.errors.entry(field.clone()).or_insert(said);
            }
        }
        match error.kind() {
            ErrorKind::WeakPassword => {
                let strength = error.strength();
                let warning = strength.and_then(|strength| strength.feedback.warning.as_deref());
                let said = warning.map_or_else(|| texts.error(error), |warning| texts.sentence(warning));
                self.errors.insert("password".to_owned(), said);
                self.strength = strength.map(|strength| ShownStrength::new(strength, texts));
            }
            // A wrong password of somebody who is known is the field's.
            ErrorKind::InvalidCredentials if fields.contains(&"current_password") => {
                self.errors.insert("current_password".to_owned(), texts.get("error.wrong_password"));
            }
            _ if self.errors.is_empty() => self.alert = Some(texts.error(error)),
            _ => {}
        }
        self.focus = fields.iter().find(|field| self.errors.contains_key(**field)).map(|field| (*field).to_owned());
        self
    }
}

impl ShownStrength {
    fn new(strength: &Strength, texts: &Texts) -> Self {
        let suggestions = strength.feedback.suggestions.iter().map(|said| texts.sentence(said)).collect();
        Self { score: strength.score, suggestions }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = Form::parse(b"username=ad%C3%A1+x&password=a%26b%3D&username=eve&empty=");
        assert_eq!((form.get("username"), form.get("password")), (Some("ad\u{e1} x"), Some("a&b=")));
        assert_eq!((form.get("empty"), form.get("none"), form.pairs().count()), (Some(""), None, 4));
        assert_eq!(Form::parse("a=b&".repeat(1000).as_bytes()).pairs().count(), MAX_FIELDS);
        assert_eq!(Form::parse("a&".repeat(1000).as_bytes()).0.capacity(), MAX_FIELDS, "the rest is not decoded");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_form(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Form::parse(&bytes).pairs().count() <= MAX_FIELDS);
        }

        #[test]
        fn what_a_browser_writes_is_read(name in "\\PC{1,20}", value in "\\PC{0,40}") {
            let text = serde_urlencoded::to_string([(&name, &value)]).unwrap();
            let form = Form::parse(text.as_bytes());
            prop_assert_eq!(form.get(&name), Some(value.as_str()));
        }
    }
}
