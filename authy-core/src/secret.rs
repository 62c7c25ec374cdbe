//! Text that must not be seen: a password on its way in.

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::Invalid;

/// Text that is never shown: `Debug` is blank, there is no `Display`, and its memory is wiped.
#[derive(Clone, PartialEq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes text out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself: whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text in Unicode's composed form (NFC), so that one password typed on two keyboards is one password.
    pub fn normalized(&self) -> Zeroizing<String> {
        let nfc = const { ComposingNormalizerBorrowed::new_nfc() };
        Zeroizing::new(nfc.normalize(&self.0).into_owned())
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

/// Writes a secret into a request or an answer, which is the one place it must appear in.
/// A function to be named field by field, so that no type with a secret becomes serializable by accident.
pub(crate) fn dangerous_expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    secret.expose().serialize(serializer)
}

/// As [`dangerous_expose`], of one that may be missing.
pub(crate) fn dangerous_expose_option<S: Serializer>(
    secret: &Option<Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// A password somebody chooses: 8 to 256 characters, any characters, never trimmed, hashed as received after NFC.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPassword(Secret);

impl NewPassword {
    /// Takes a password that is long enough and not too long.
    ///
    /// # Errors
    /// When it has fewer than 8 or more than 256 characters.
    pub fn new(password: Secret) -> Result<Self, Invalid> {
        // Counted as it will be hashed; the bound on bytes keeps the normalization of nonsense cheap.
        match password.expose().len() <= 64 * 1024 && (8..=256).contains(&password.normalized().chars().count()) {
            true => Ok(Self(password)),
            false => Err(Invalid::new("invalid_password", "must have 8 to 256 characters")),
        }
    }

    /// The password itself.
    pub fn as_secret(&self) -> &Secret {
        &self.0
    }
}

/// As [`dangerous_expose`].
pub(crate) fn dangerous_expose_new<S: Serializer>(password: &NewPassword, serializer: S) -> Result<S::Ok, S::Error> {
    dangerous_expose(&password.0, serializer)
}

/// As [`dangerous_expose`], of one that may be missing.
pub(crate) fn dangerous_expose_new_option<S: Serializer>(
    password: &Option<NewPassword>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    password.as_ref().map(|password| password.0.expose()).serialize(serializer)
}

described!(NewPassword, { "type": "string", "format": "password", "minLength": 8, "maxLength": 256 });
described!(Secret, { "type": "string", "format": "password" });
