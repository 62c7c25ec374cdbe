//! Secret texts, such as passwords.

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::Invalid;

/// A secret text. `Debug` prints a placeholder, there is no `Display`, and its memory is overwritten when it is
/// dropped.
#[derive(Clone, PartialEq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text. The caller is responsible for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the text in Unicode's composed form (NFC), so that a password typed on two different keyboards is the
    /// same.
    pub fn normalized(&self) -> Zeroizing<String> {
        let nfc = const { ComposingNormalizerBorrowed::new_nfc() };
        Zeroizing::new(nfc.normalize(&self.0).into_owned())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Serializes a secret into a request or a response that must contain it. A field has to name this function, so that a
/// type with a secret does not become serializable by accident.
pub(crate) fn dangerous_expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    secret.expose().serialize(serializer)
}

/// Serializes an optional secret, as [`dangerous_expose`].
pub(crate) fn dangerous_expose_option<S: Serializer>(
    secret: &Option<Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// A new password: 8 to 256 characters, any characters, never trimmed, hashed as received after NFC.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPassword(Secret);

impl NewPassword {
    /// Checks the length of a password.
    ///
    /// # Errors
    /// When it has fewer than 8 or more than 256 characters.
    pub fn new(password: Secret) -> Result<Self, Invalid> {
        // Counted in the form that is hashed. The limit on bytes bounds the cost of the normalization.
        match password.expose().len() <= 64 * 1024 && (8..=256).contains(&password.normalized().chars().count()) {
            true => Ok(Self(password)),
            false => Err(Invalid::new("invalid_password", "must have 8 to 256 characters")),
        }
    }

    /// Returns the password.
    pub fn as_secret(&self) -> &Secret {
        &self.0
    }
}

/// Serializes a new password, as [`dangerous_expose`].
pub(crate) fn dangerous_expose_new<S: Serializer>(password: &NewPassword, serializer: S) -> Result<S::Ok, S::Error> {
    dangerous_expose(&password.0, serializer)
}

/// Serializes an optional new password, as [`dangerous_expose`].
pub(crate) fn dangerous_expose_new_option<S: Serializer>(
    password: &Option<NewPassword>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    password.as_ref().map(|password| password.0.expose()).serialize(serializer)
}

described!(NewPassword, {
    "type": "string", "format": "password", "minLength": 8, "maxLength": 256, "examples": ["difference-engine-no-2"],
});
// Tokens, which are secrets too, are described where they are used: only a password is typed by people.
described!(Secret, { "type": "string", "format": "password", "examples": ["difference-engine-no-2"] });
