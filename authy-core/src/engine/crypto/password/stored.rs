//! A stored hash of any format.

use super::{
    argon2id::Argon2Hash,
    foreign::Foreign,
    format::{HashFormat, UnusableHash},
    wrapped::Wrapped,
};
use crate::engine::crypto::digest::digest_of;

/// A parsed hash, whose cost is within the limits.
pub(super) enum StoredHash {
    Argon2(Argon2Hash),
    Foreign(Foreign),
    Wrapped(Wrapped),
}

/// No hash is longer. The parsers need to be quick for texts of this length only.
const MAX_LEN: usize = 1024;

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

/// Returns a digest that tells whether a password in another program was replaced: of the format, the parameters and the salt of
/// its hash, which is new with every password. All texts that match no password have the same one.
///
/// The hash itself is left out. The digest is stored, and with the hash in it, a thief of the database could test each guess at the
/// cost of the old hash, even where argon2id wraps that (`--wrap`). The price: a new password with the same salt, or both without
/// one, goes unnoticed. None of the programs reuses a salt.
pub(in crate::engine) fn password_digest(stored: Option<&str>) -> Vec<u8> {
    digest_of(&stored.and_then(without_hash))
}

/// Returns the format, the parameters and the salt. `None` when the text matches no password.
fn without_hash(stored: &str) -> Option<(&'static str, String)> {
    let hash = StoredHash::parse(stored).ok().filter(|hash| !hash.has_pepper())?;
    let scheme = match &hash {
        StoredHash::Foreign(foreign) => foreign.scheme().write(),
        // The hash is what follows the last one.
        StoredHash::Argon2(_) | StoredHash::Wrapped(_) => stored.rsplit_once('$')?.0.to_owned(),
    };
    Some((hash.format().name(), scheme))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hashes with the same format, parameters and salt, and one with another salt.
    const HASHES: &[[&str; 3]] = &[
        [
            "pbkdf2:sha512:1000$salt$00112233445566778899aabbccddeeff",
            "pbkdf2:sha512:1000$salt$ff112233445566778899aabbccddeeff",
            "pbkdf2:sha512:1000$sale$00112233445566778899aabbccddeeff",
        ],
        [
            "scrypt:1024:8:1$salt$00112233445566778899aabbccddeeff",
            "scrypt:1024:8:1$salt$ff112233445566778899aabbccddeeff",
            "scrypt:2048:8:1$salt$00112233445566778899aabbccddeeff",
        ],
        [
            "scrypt$1024$salt$8$1$ABEiM0RVZneImaq7zN3u/w==",
            "scrypt$1024$salt$8$1$BBEiM0RVZneImaq7zN3u/w==",
            "scrypt$1024$sale$8$1$ABEiM0RVZneImaq7zN3u/w==",
        ],
        [
            "$2b$04$abcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK",
            "$2b$04$abcdefghijklmnopqrstuuaLgNH5eaktQxHocnTnSg/5zOTjCh/eK",
            "$2b$04$bbcdefghijklmnopqrstuu/LgNH5eaktQxHocnTnSg/5zOTjCh/eK",
        ],
        [
            "$argon2i$v=19$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$LNlNEy6l1rZZGCSyh+FfDvpdrVwJUc9+T4cmFzwmimk",
            "$argon2i$v=19$m=64,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MNlNEy6l1rZZGCSyh+FfDvpdrVwJUc9+T4cmFzwmimk",
            "$argon2i$v=19$m=64,t=2,p=1$NDEyMzQ1Njc4OWFiY2RlZg$LNlNEy6l1rZZGCSyh+FfDvpdrVwJUc9+T4cmFzwmimk",
        ],
        [
            "{SSHA}hOplQEZAg+uqUKjjWpeJb6WCXUx2LkXI",
            "{SSHA}iOplQEZAg+uqUKjjWpeJb6WCXUx2LkXI",
            "{SSHA}hOplQEZAg+uqUKjjWpeJb6WCXUx2LkXJ",
        ],
        // Without a salt there is nothing but the parameters.
        [
            "pbkdf2:sha256:1000$$00112233445566778899aabbccddeeff",
            "pbkdf2:sha256:1000$$ff112233445566778899aabbccddeeff",
            "pbkdf2:sha256:2000$$00112233445566778899aabbccddeeff",
        ],
    ];

    #[test]
    fn a_digest_has_the_salt_and_nothing_of_the_hash() {
        for [hash, other_hash, other_salt] in HASHES {
            for text in [hash, other_hash, other_salt] {
                assert!(classify(text).is_ok(), "{text}");
            }
            assert_eq!(password_digest(Some(hash)), password_digest(Some(other_hash)), "{hash}");
            assert_ne!(password_digest(Some(hash)), password_digest(Some(other_salt)), "{hash}");
            assert_ne!(password_digest(Some(hash)), password_digest(None), "{hash}");
        }
    }

    #[test]
    fn all_texts_that_match_no_password_have_one_digest() {
        for text in [
            "",
            "!",
            "junk",
            "sha256$salt$93181c6d179ccf34176d0db0ef9258d414b3b239b4f45a1756c323e9c3647a5c",
            "{MD5}CY9rzUYh03PK3k6DJie09g==",
            "$argon2id$v=19$m=64,t=2,p=1,keyid=AAAAAA$MDEyMzQ1Njc4OWFiY2RlZg$LNlNEy6l1rZZGCSyh+FfDvpdrVwJUc9+T4cmFzwmimk",
        ] {
            assert_eq!(password_digest(Some(text)), password_digest(None), "{text}");
        }
    }
}
