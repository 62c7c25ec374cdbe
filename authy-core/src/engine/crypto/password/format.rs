//! The formats of stored hashes, for the reports of an import.

use std::fmt;

use super::stored::StoredHash;

/// The format of a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::engine) struct HashFormat(&'static str);

/// Why a stored text cannot be used as a hash. It matches no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
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
    #[error("made with a secret that is not in it")]
    Peppered,
}

/// Returns the format of a hash that another program has stored. The time is bounded for every text, and nothing is
/// hashed.
///
/// # Errors
/// Why the text matches no password.
pub(in crate::engine) fn classify(stored: &str) -> Result<HashFormat, UnusableHash> {
    let hash = StoredHash::parse(stored)?;
    match hash.has_pepper() {
        true => Err(UnusableHash::Peppered),
        false => Ok(hash.format()),
    }
}

impl HashFormat {
    pub(super) const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Returns the name for reports, such as `werkzeug pbkdf2:sha512`.
    pub(in crate::engine) fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for HashFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_each_format() {
        for (stored, name) in [
            ("pbkdf2:sha512:1000$salt$00112233445566778899aabbccddeeff", "werkzeug pbkdf2:sha512"),
            ("scrypt:1024:8:1$salt$00112233445566778899aabbccddeeff", "werkzeug scrypt"),
            ("scrypt$1024$salt$8$1$ABEiM0RVZneImaq7zN3u/w==", "django scrypt"),
            ("$2b$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK", "bcrypt"),
            (
                "$argon2i$v=19$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$LNlNEy6l1rZZGCSyh+FfDvpdrVwJUc9+T4cmFzwmimk",
                "argon2i",
            ),
            ("{ssha}hOplQEZAg+uqUKjjWpeJb6WCXUx2LkXI", "ldap {SSHA}"),
            ("{CRYPT}$2b$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK", "bcrypt"),
        ] {
            assert_eq!(classify(stored).map(HashFormat::name), Ok(name), "{stored}");
        }
    }

    #[test]
    fn a_report_says_why_a_text_is_no_usable_hash() {
        use UnusableHash::*;
        let long = "pbkdf2:sha256:1000$salt$".repeat(1000);
        for (stored, reason) in [
            ("", Empty),
            ("!", Disabled),
            ("!V3p9a", Disabled),
            ("*LK*", Disabled),
            ("junk", Unknown),
            ("sha256$salt$93181c6d179ccf34176d0db0ef9258d414b3b239b4f45a1756c323e9c3647a5c", Unknown),
            ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", Unknown),
            ("{MD5}CY9rzUYh03PK3k6DJie09g==", Unknown),
            ("pbkdf2:md5:1000$salt$00112233445566778899aabbccddeeff", Unknown),
            (&long, Unknown),
            ("pbkdf2:sha256:1000$salt$zz", Malformed),
            ("scrypt$1024$salt$8$1", Malformed),
            ("$argon2id$v=19$m=8,t=1,p=1$$", Malformed),
            ("scrypt:1048576:8:1$salt$00112233445566778899aabbccddeeff", TooExpensive),
            ("pbkdf2:sha512:1000000000$salt$00112233445566778899aabbccddeeff", TooExpensive),
            ("pbkdf2:sha512:99999999999999999999999$salt$00112233445566778899aabbccddeeff", TooExpensive),
            ("$6$rounds=999999999$salt$x", TooExpensive),
            ("$2b$31$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK", TooExpensive),
            (
                "$argon2id$v=19$m=4194304,t=3,p=1$MDEyMzQ1Njc4OWFiY2RlZg$LNlNEy6l1rZZGCSyh+FfDvpdrVwJUc9+T4cmFzwmimk",
                TooExpensive,
            ),
            (
                "$argon2id$v=19$m=64,t=2,p=1,keyid=AAAAAA$MDEyMzQ1Njc4OWFiY2RlZg$LNlNEy6l1rZZGCSyh+FfDvpdrVwJUc9+T4cmFzwmimk",
                Peppered,
            ),
        ] {
            assert_eq!(classify(stored), Err(reason), "{stored}");
        }
    }
}
