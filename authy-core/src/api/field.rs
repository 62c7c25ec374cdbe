//! Reading the fields of a request: all of them, and every wrong one reported at once.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value, map::Entry};

use crate::{Error, ErrorKind, Invalid, NewPassword, Result, Secret, error::FieldError};

/// A type that a field of a request can have.
pub trait Field: Sized {
    /// Reads it from text: a query, a path, or a JSON string.
    ///
    /// # Errors
    /// Why the text is no value of this type.
    fn from_text(text: &str) -> Result<Self, Invalid>;

    /// Reads it from JSON.
    ///
    /// # Errors
    /// Why the value is none of this type.
    fn from_json(value: Value) -> Result<Self, Invalid> {
        match value {
            Value::String(text) => Self::from_text(&text),
            _ => Err(Invalid::new("wrong_type", "must be a string")),
        }
    }

    /// What it is when it was not sent.
    ///
    /// # Errors
    /// That it is required, unless the type is an `Option`.
    fn missing() -> Result<Self, Invalid> {
        Err(Invalid::new("required", "is required"))
    }
}

impl Field for String {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        Ok(text.to_owned())
    }
}

impl Field for bool {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse().map_err(|_| Invalid::new("wrong_type", "must be true or false"))
    }

    fn from_json(value: Value) -> Result<Self, Invalid> {
        value.as_bool().ok_or(Invalid::new("wrong_type", "must be true or false"))
    }
}

impl<T: Field> Field for Option<T> {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        T::from_text(text).map(Some)
    }

    fn from_json(value: Value) -> Result<Self, Invalid> {
        match value {
            Value::Null => Ok(None),
            value => T::from_json(value).map(Some),
        }
    }

    fn missing() -> Result<Self, Invalid> {
        Ok(None)
    }
}

/// Maximum number of parameters in a query and of fields in a body. No request has more than ten.
pub const MAX_FIELDS: usize = 64;

/// The fields that arrived, and what was found wrong with them so far.
#[derive(Debug)]
pub struct Fields {
    sent: Map<String, Value>,
    wrong: Vec<FieldError>,
    // A query may carry parameters that are not ours; a body may not.
    closed: bool,
}

impl Fields {
    /// The fields of a JSON object.
    ///
    /// # Errors
    /// [`ErrorKind::MalformedJson`] with line and column in its source.
    pub fn from_json(body: &[u8]) -> Result<Self, serde_json::Error> {
        let Object(sent) = serde_json::from_slice(body)?;
        Ok(Self { sent, wrong: Vec::new(), closed: true })
    }

    /// The fields of a query, already split and decoded. A field sent twice is wrong.
    pub fn from_query(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut fields = Self { sent: Map::new(), wrong: Vec::new(), closed: false };
        let mut twice = BTreeSet::new();
        for (name, value) in pairs {
            match fields.sent.entry(name) {
                Entry::Vacant(entry) => drop(entry.insert(Value::String(value))),
                Entry::Occupied(entry) => drop(twice.insert(entry.key().clone())),
            }
        }
        fields.wrong.extend(twice.iter().map(|name| Invalid::new("duplicate", "was sent twice").of(name)));
        fields
    }

    /// No fields at all.
    pub fn none() -> Self {
        Self { sent: Map::new(), wrong: Vec::new(), closed: true }
    }

    /// Takes the field of that name; `None` when it is wrong, which is then remembered.
    pub fn take<T: Field>(&mut self, name: &str) -> Option<T> {
        let read = match self.sent.remove(name) {
            // The values of a query are text, and a number among them is still a number.
            Some(Value::String(text)) if !self.closed => T::from_text(&text),
            Some(value) => T::from_json(value),
            None => T::missing(),
        };
        read.map_err(|why| self.wrong.push(why.of(name))).ok()
    }

    /// Remembers what is wrong between fields.
    pub fn also(&mut self, wrong: Option<FieldError>) {
        self.wrong.extend(wrong);
    }

    /// Ends the reading: what is left over is unknown.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] with everything that was found wrong.
    pub fn finish(mut self) -> Result<()> {
        if self.closed {
            let unknown = Invalid::new("unknown_field", "is not a field of this request");
            // Enough to mend a client by; a body of 64 KiB could name thousands.
            self.wrong
                .extend(self.sent.keys().take(20).map(|name| unknown.of(&name.chars().take(100).collect::<String>())));
        } else {
            // Sent twice, but not ours: not our business.
            self.wrong.retain(|wrong| wrong.code != "duplicate" || !self.sent.contains_key(&wrong.field));
        }
        if self.wrong.is_empty() { Ok(()) } else { Err(Error::invalid(self.wrong)) }
    }
}

/// A JSON object that names no field twice: parsers disagree on which one counts, and that is how checks are evaded.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if object.len() == MAX_FIELDS {
                        return Err(A::Error::custom("an object has at most 64 fields"));
                    }
                    if object.insert(name, value).is_some() {
                        return Err(A::Error::custom("a field is named twice"));
                    }
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Unique).map(Object)
    }
}

/// What is wrong with a password's confirmation, when both arrived and differ.
pub(super) fn differ(password: Option<&NewPassword>, confirmation: Option<&Secret>) -> Option<FieldError> {
    (password?.as_secret() != confirmation?)
        .then(|| Invalid::new(ErrorKind::PasswordsDiffer.code(), "is not the same as password").of("confirm_password"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Request as _, user::UserQuery};

    #[test]
    fn a_body_of_more_than_64_fields_is_refused_while_it_is_read() {
        let body = |count: usize| {
            let fields: Vec<_> = (0..count).map(|number| format!("\"x{number}\":0")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert!(Fields::from_json(body(MAX_FIELDS).as_bytes()).is_ok());
        assert!(Fields::from_json(body(MAX_FIELDS + 1).as_bytes()).is_err());
    }

    /// The time that the quickest of several readings takes, in nanoseconds per pair.
    fn nanoseconds_per_pair(count: usize, name: impl Fn(usize) -> String) -> u128 {
        let pairs: Vec<_> = (0..count).map(|number| (name(number), String::new())).collect();
        let once = |_| {
            let pairs = pairs.clone();
            let begun = std::time::Instant::now();
            let _ = UserQuery::from_fields(Fields::from_query(pairs));
            begun.elapsed().as_nanos()
        };
        (0..10).map(once).min().unwrap() / count as u128
    }

    #[test]
    fn the_time_of_a_pair_does_not_grow_with_their_number() {
        let shapes: [fn(usize) -> String; 3] =
            [|number| format!("x{number}"), |number| format!("x{}", number / 2), |_| "q".to_owned()];
        for name in shapes {
            let (few, many) = (nanoseconds_per_pair(128, name), nanoseconds_per_pair(16_384, name));
            // Sorting grows it by the logarithm; a search through all of them would by a hundred.
            assert!(many < 12 * few.max(50), "{few} ns a pair of 128, {many} ns a pair of 16,384: {}", name(1));
        }
    }
}
