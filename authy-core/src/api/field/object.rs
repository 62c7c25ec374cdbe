//! Reads a JSON object of bounded size.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// Maximum number of parameters in a query and of fields in a body. Requests have at most ten.
pub const MAX_FIELDS: usize = 64;

/// A JSON object without duplicate names. Parsers disagree on which duplicate counts, and attackers use that to evade checks.
pub(super) struct Object(pub(super) Map<String, Value>);

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
