//! The reason why a value is invalid: the error of every checked type.

use std::{error::Error, fmt};

use crate::error::FieldError;

/// The reason why a value is invalid for a type: a code for programs and a message for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    code: &'static str,
    message: &'static str,
}

impl Invalid {
    /// Creates a reason from a code and a message.
    pub const fn new(code: &'static str, message: &'static str) -> Self {
        Self { code, message }
    }

    /// Returns the code, for programs.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the message, for people. It continues a sentence that begins with the name of the value.
    pub const fn message(&self) -> &'static str {
        self.message
    }

    /// Returns the error of the request field that contains the value.
    pub fn of(self, field: &str) -> FieldError {
        FieldError { field: field.to_owned(), code: self.code.to_owned(), message: self.message.to_owned() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl Error for Invalid {}
