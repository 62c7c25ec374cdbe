//! The formats of stored hashes, for the reports of an import.

use std::fmt;

use super::argon2id::StoredHash;

/// The format of a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::engine) struct HashFormat(&'static str);

/// Why a stored text cannot be used as a hash. It matches no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[allow(dead_code, reason = "the import reports them")]
pub(in crate::engine) enum UnusableHash {
    /// There is no text.
    #[error("empty")]
    Empty,
    /// The text begins with `!` or `*`, by which Django and `/etc/shadow` mark an account without a usable password.
    #[error("marked as without a password")]
    Disabled,
    /// The text has no format that can be verified.
    #[error("unknown format")]
    Unknown,
    /// The format is known, but a part of the text is missing, or is not what belongs there.
    #[error("malformed")]
    Malformed,
    /// A verification would exceed the limits on memory or time.
    #[error("cost beyond the limit")]
    TooExpensive,
    /// The hash was made with a secret (a pepper) that is not in the text.
    #[error("made with a secret that is not known here")]
    Peppered,
}

/// Returns the format of a stored hash. The time is bounded for every text, and nothing is hashed.
///
/// # Errors
/// Why the text matches no password.
#[allow(dead_code, reason = "the import reports the formats of what it reads")]
pub(in crate::engine) fn classify(stored: &str) -> Result<HashFormat, UnusableHash> {
    match stored.as_bytes().first() {
        None => return Err(UnusableHash::Empty),
        Some(b'!' | b'*') => return Err(UnusableHash::Disabled),
        Some(_) => {}
    }
    match StoredHash::parse(stored) {
        Some(StoredHash::Argon2(_)) => Ok(HashFormat("argon2")),
        Some(StoredHash::Foreign(_)) => Ok(HashFormat("other")),
        None => Err(UnusableHash::Unknown),
    }
}

impl HashFormat {
    /// Returns the name for reports, such as `werkzeug pbkdf2:sha512`.
    #[allow(dead_code, reason = "the import reports the formats of what it reads")]
    pub(in crate::engine) fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for HashFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
