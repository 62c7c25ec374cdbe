//! A stored hash of any format.

use super::{
    argon2id::Argon2Hash,
    foreign::Foreign,
    format::{HashFormat, UnusableHash},
    wrapped::Wrapped,
};

/// A parsed hash, whose cost is within the limits.
pub(super) enum StoredHash {
    Argon2(Argon2Hash),
    Foreign(Foreign),
    Wrapped(Wrapped),
}

/// No hash is longer. The parsers need to be quick for texts of this length only.
const MAX_LEN: usize = 1024;

impl StoredHash {
    /// Parses a hash of any program.
    ///
    /// # Errors
    /// Why the text cannot be used as a hash.
    pub(super) fn parse(text: &str) -> Result<Self, UnusableHash> {
        match text.as_bytes() {
            [] => return Err(UnusableHash::Empty),
            [b'!' | b'*', ..] => return Err(UnusableHash::Disabled),
            bytes if bytes.len() > MAX_LEN => return Err(UnusableHash::Unknown),
            _ => {}
        }
        if let Some(wrapped) = text.strip_prefix(Wrapped::PREFIX) {
            return Wrapped::parse(wrapped).map(Self::Wrapped);
        }
        // Before the PHC string, Django writes `argon2`, and OpenLDAP `{ARGON2}`.
        let phc = ["argon2", "{ARGON2}"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
        match phc.starts_with("$argon2") {
            true => Argon2Hash::parse(phc).map(Self::Argon2),
            false => Foreign::parse(text).map(Self::Foreign),
        }
    }

    /// Returns the format, for reports.
    pub(super) fn format(&self) -> HashFormat {
        match self {
            Self::Argon2(hash) => hash.format(),
            Self::Foreign(hash) => hash.format(),
            Self::Wrapped(_) => HashFormat::new("authy, wrapped"),
        }
    }

    /// Returns whether a secret of this program is a part of the hash.
    pub(super) fn has_pepper(&self) -> bool {
        match self {
            Self::Argon2(hash) => hash.has_pepper(),
            Self::Wrapped(hash) => hash.has_pepper(),
            Self::Foreign(_) => false,
        }
    }
}
