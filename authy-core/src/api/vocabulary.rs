//! Reads the checked types of the vocabulary from the fields and the path of a request.

use serde_json::Value;

use super::{Field, Fields, PathParam};
use crate::{
    Description, Email, EventId, Invalid, Level, NewPassword, RoleName, Secret, SessionId, UserId, Username,
    revocation::Cursor, time::Timestamp,
};

macro_rules! parsed_fields {
    ($($name:ident)+) => { $(
        impl Field for $name {
            fn from_text(text: &str) -> Result<Self, Invalid> {
                text.parse()
            }
        }
    )+ };
}

parsed_fields! { UserId SessionId EventId Username Email RoleName Description Cursor Timestamp }

impl PathParam for UserId {}
impl PathParam for SessionId {}
impl PathParam for EventId {}

impl PathParam for Username {
    fn from_segment(text: &str) -> Result<Self, Invalid> {
        Self::existing(text)
    }
}

impl PathParam for RoleName {
    fn from_segment(text: &str) -> Result<Self, Invalid> {
        Self::existing(text)
    }
}

/// The name of a role that exists. It may have been stored under earlier rules.
struct ExistingRole(RoleName);

impl Field for ExistingRole {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        RoleName::existing(text).map(Self)
    }
}

/// Reads an optional field that names a role which exists.
pub(super) fn existing_role(fields: &mut Fields, name: &str) -> Option<Option<RoleName>> {
    fields.take::<Option<ExistingRole>>(name).map(|role| role.map(|ExistingRole(role)| role))
}

impl Field for Level {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }

    fn from_json(value: Value) -> Result<Self, Invalid> {
        Level::try_from(value.as_u64().and_then(|level| u32::try_from(level).ok()).unwrap_or(u32::MAX))
    }
}

impl PathParam for Level {
    // A level is a number that the caller chooses, not an identifier: an invalid one is an error in the request.
    const WRONG_IS_NOT_FOUND: bool = false;
}

impl Field for Secret {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        Ok(Self::new(text))
    }

    // Moves the text instead of copying it, because a copy would not be overwritten.
    fn from_json(value: Value) -> Result<Self, Invalid> {
        match value {
            Value::String(text) => Ok(Self::new(text)),
            _ => Err(Invalid::new("wrong_type", "must be a string")),
        }
    }
}

impl Field for NewPassword {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        Self::new(Secret::new(text))
    }

    fn from_json(value: Value) -> Result<Self, Invalid> {
        Secret::from_json(value).and_then(Self::new)
    }
}
