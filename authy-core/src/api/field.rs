//! Reads the fields of a request: all of them, so that every invalid one is reported.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value, map::Entry};

use crate::{
    Error, ErrorKind, Invalid, NewPassword, Result, Secret,
    error::{FieldError, FieldList},
};

mod object;
mod query;

pub use object::MAX_FIELDS;
use object::Object;

/// A type of a request field.
pub trait Field: Sized {
    /// Reads a value from text: a query, a path, or a JSON string.
    ///
    /// # Errors
    /// The reason why the text is not a value of this type.
    fn from_text(text: &str) -> Result<Self, Invalid>;

    /// Reads a value from JSON.
    ///
    /// # Errors
    /// The reason why the JSON value is not a value of this type.
    fn from_json(value: Value) -> Result<Self, Invalid> {
        match value {
            Value::String(text) => Self::from_text(&text),
            _ => Err(Invalid::new("wrong_type", "must be a string")),
        }
    }

    /// Returns the value of a field that was not sent.
    ///
    /// # Errors
    /// When the field is required: always, unless the type is an `Option`.
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

/// A type that is read from the fields of a request: those of authy's endpoints, and those of an embedding program,
/// which can contain them:
///
/// ```
/// use authy_core::api::{Fields, FromFields, user::NewUser};
///
/// /// A sign-up at a shop.
/// struct NewCustomer {
///     user: NewUser,
///     newsletter: bool,
/// }
///
/// impl FromFields for NewCustomer {
///     fn take_from(fields: &mut Fields) -> Option<Self> {
///         let user = NewUser::take_from(fields);
///         let newsletter = fields.take("newsletter");
///         Some(Self { user: user?, newsletter: newsletter? })
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let body = br#"{ "username": "ada", "email": "ada", "password": "difference-engine-no-2",
///     "confirm_password": "analytical-engine-no-1", "newsletter": "weekly" }"#;
/// let error = NewCustomer::from_fields(Fields::from_json(body)?).err().unwrap();
/// let wrong: Vec<_> = error.fields().iter().map(|wrong| &*wrong.field).collect();
/// assert_eq!(wrong, ["email", "confirm_password", "newsletter"]);
/// # Ok(())
/// # }
/// ```
pub trait FromFields: Sized {
    /// Takes the fields of this type. Returns `None` when one is invalid. Take all of them before the first `?`, so that
    /// every invalid one is reported.
    ///
    /// An error that is recorded counts also when the result is `Some`: only [`from_fields`](Self::from_fields) returns
    /// a value that is valid.
    fn take_from(fields: &mut Fields) -> Option<Self>;

    /// Reads all fields, and reports every invalid one, and every one that this type does not have.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`], or the kind of the only invalid field.
    fn from_fields(mut fields: Fields) -> Result<Self> {
        let taken = Self::take_from(&mut fields);
        fields.finish()?;
        // A field that was not taken has been reported, so `finish` has failed above.
        taken.ok_or_else(unreported)
    }
}

/// The received fields, and the errors found so far.
///
/// ```
/// use authy_core::{Email, api::Fields};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut fields = Fields::from_json(br#"{ "email": "ada@example", "nickname": "countess" }"#)?;
/// let email: Option<Email> = fields.take("email");
/// let phone: Option<String> = fields.take_opt("phone");
/// assert_eq!((email, phone), (None, None));
///
/// // Every error at once: an invalid address, and a field that nothing took.
/// let error = fields.finish().unwrap_err();
/// let wrong: Vec<_> = error.fields().iter().map(|wrong| (&*wrong.field, &*wrong.code)).collect();
/// assert_eq!(wrong, [("email", "invalid_email"), ("nickname", "unknown_field")]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Fields {
    sent: Map<String, Value>,
    wrong: Vec<FieldError>,
    // The values of a query are text, even when they are numbers.
    in_query: bool,
}

impl Fields {
    /// Parses a JSON object.
    ///
    /// # Errors
    /// A syntax error, with line and column.
    pub fn from_json(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body).map(|Object(sent)| Self::from_object(sent))
    }

    fn from_object(sent: Map<String, Value>) -> Self {
        Self { sent, wrong: Vec::new(), in_query: false }
    }

    /// Takes the parameters of a query, already split and decoded. A parameter that was sent twice is invalid.
    pub fn from_query(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut fields = Self { sent: Map::new(), wrong: Vec::new(), in_query: true };
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

    /// Returns an empty set of fields.
    pub fn none() -> Self {
        Self::from_object(Map::new())
    }

    /// Takes the field with this name. Returns `None` and records the error when it is invalid.
    pub fn take<T: Field>(&mut self, name: &str) -> Option<T> {
        let read = match self.sent.remove(name) {
            Some(Value::String(text)) if self.in_query => T::from_text(&text),
            Some(value) => T::from_json(value),
            None => T::missing(),
        };
        self.check(name, read)
    }

    /// Takes the field with this name, which is optional. Returns `None` when it was not sent, and when it is invalid;
    /// then the error is recorded.
    pub fn take_opt<T: Field>(&mut self, name: &str) -> Option<T> {
        self.take(name).flatten()
    }

    /// Replaces the text of the field with this name, when it was sent as text and `decode` returns another one: before the
    /// fields are taken, for clients that encode a value.
    pub fn decode(&mut self, name: &str, decode: impl FnOnce(&str) -> Option<String>) {
        if let Some(Value::String(text)) = self.sent.get_mut(name)
            && let Some(decoded) = decode(text)
        {
            *text = decoded;
        }
    }

    /// Returns a value that was checked elsewhere. Returns `None` and records the error when it is invalid.
    pub fn check<T>(&mut self, name: &str, checked: Result<T, Invalid>) -> Option<T> {
        checked.map_err(|why| self.wrong.push(why.of(name))).ok()
    }

    /// Records an error about a combination of fields.
    pub fn also(&mut self, wrong: Option<FieldError>) {
        self.wrong.extend(wrong);
    }

    /// Finishes reading. Fields that were not taken are unknown.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] with all errors.
    pub fn finish(mut self) -> Result<()> {
        // An unknown parameter that was sent twice is reported once.
        self.wrong.retain(|wrong| wrong.code != "duplicate" || !self.sent.contains_key(&wrong.field));
        let unknown = Invalid::new("unknown_field", "is not a field of this request");
        // Enough to correct a client. A request could contain thousands of unknown fields.
        self.wrong
            .extend(self.sent.keys().take(20).map(|name| unknown.of(&name.chars().take(100).collect::<String>())));
        if self.wrong.is_empty() { Ok(()) } else { Err(Error::invalid(self.wrong)) }
    }
}

/// Reads a request with serde: with the same checks as from a body, and all errors in the message.
pub(super) fn deserialize<'de, R: FromFields, D: Deserializer<'de>>(deserializer: D) -> Result<R, D::Error> {
    let Object(sent) = Object::deserialize(deserializer)?;
    R::from_fields(Fields::from_object(sent)).map_err(|error| D::Error::custom(FieldList(error.fields())))
}

/// Returns the error of a request whose invalid field is not among the recorded errors.
pub(super) fn unreported() -> Error {
    Error::new(ErrorKind::Internal, "an invalid field was not reported")
}

/// Returns the error of a confirmation that differs from the password, when both were sent.
pub(super) fn differ(password: Option<&NewPassword>, confirmation: Option<&Secret>) -> Option<FieldError> {
    (password?.as_secret() != confirmation?)
        .then(|| Invalid::new(ErrorKind::PasswordsDiffer.code(), "is not the same as password").of("confirm_password"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Email;
    use crate::api::user::{NewUser, UserQuery};

    #[test]
    fn a_body_of_more_than_64_fields_is_refused_while_it_is_read() {
        let body = |count: usize| {
            let fields: Vec<_> = (0..count).map(|number| format!("\"x{number}\":0")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert!(Fields::from_json(body(MAX_FIELDS).as_bytes()).is_ok());
        assert!(Fields::from_json(body(MAX_FIELDS + 1).as_bytes()).is_err());
    }

    #[test]
    fn an_unknown_parameter_is_named_once_however_often_it_is_sent() {
        let pairs = [("colour", "red"), ("page", "2"), ("colour", "blue"), ("page", "3")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let error = UserQuery::from_fields(Fields::from_query(pairs)).unwrap_err();
        let wrong: Vec<_> = error.fields().iter().map(|wrong| (wrong.field.as_str(), wrong.code.as_str())).collect();
        assert_eq!(wrong, [("page", "duplicate"), ("colour", "unknown_field")]);
    }

    #[test]
    fn a_request_that_serde_reads_names_every_invalid_field() {
        let body = r#"{"username":"a","email":"b","password":"long enough","confirm_password":"another one","x":1}"#;
        let message = serde_json::from_str::<NewUser>(body).unwrap_err().to_string();
        for field in ["username must", "email must", "confirm_password is not the same", "x is not a field"] {
            assert!(message.contains(field), "{message}");
        }
        let constructed = NewUser::new("a", "b", "short").unwrap_err();
        let fields: Vec<_> = constructed.fields().iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(fields, ["username", "email", "password"]);
    }

    #[test]
    fn an_optional_field_that_is_invalid_is_reported_and_one_that_is_missing_is_not() {
        let mut fields = Fields::from_json(br#"{"email":"b"}"#).unwrap();
        assert_eq!((fields.take_opt::<Email>("email"), fields.take_opt::<String>("name")), (None, None));
        let error = fields.finish().unwrap_err();
        assert!(matches!(error.fields(), [only] if only.field == "email"), "{error}");
    }

    proptest! {
        #[test]
        fn serde_and_a_body_agree(name in "[a-z.@ ]{0,8}", password in "[a-z]{6,10}", again in "[a-z]{6,10}") {
            let body = serde_json::json!({
                "username": name, "email": format!("{name}@example.org"), "password": password, "confirm_password": again,
            });
            let read = NewUser::from_fields(Fields::from_json(body.to_string().as_bytes()).unwrap());
            let deserialized = serde_json::from_value::<NewUser>(body);
            prop_assert_eq!(read.is_ok(), deserialized.is_ok());
        }
    }

    /// Returns the time of the fastest of several runs, in nanoseconds per pair.
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
            // Sorting adds a logarithmic factor; a search through all pairs would add a factor of a hundred.
            assert!(many < 12 * few.max(50), "{few} ns a pair of 128, {many} ns a pair of 16,384: {}", name(1));
        }
    }
}
