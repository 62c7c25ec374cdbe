//! The hash that identifies a session or a user in a revocation.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Serialize};

use crate::{Invalid, SessionId, UserId};

/// The first 16 bytes of the SHA-256 of a prefix and an ID, as base64url without padding (22 characters).
///
/// Revocations are public, IDs are not: the hash does not reveal the ID, and is sufficient for a check. The prefix
/// separates the hashes of sessions and users. The hash has 128 bits, as many as an ID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdHash([u8; HASH_BYTES]);

const HASH_BYTES: usize = 16;

impl IdHash {
    /// Returns the hash of a session: of `authy:session:` followed by the claim `sid`.
    pub fn of_session(session: SessionId) -> Self {
        Self::of(b"authy:session:", session.as_uuid())
    }

    /// Returns the hash of a user: of `authy:user:` followed by the claim `public_id`.
    pub fn of_user(user: UserId) -> Self {
        Self::of(b"authy:user:", user.as_uuid())
    }

    fn of(prefix: &[u8], id: &uuid::Uuid) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(prefix);
        // The text of the claim rather than its bytes: a verifier in any language has it.
        context.update(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
        let mut hash = [0; HASH_BYTES];
        context.finish().as_ref().iter().zip(&mut hash).for_each(|(from, to)| *to = *from);
        Self(hash)
    }
}

impl fmt::Display for IdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for IdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdHash({self})")
    }
}

impl TryFrom<String> for IdHash {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(Invalid::new("invalid_hash", "must be 16 bytes as base64url without padding"))
    }
}

impl From<IdHash> for String {
    fn from(hash: IdHash) -> String {
        hash.to_string()
    }
}

described!(IdHash, { "type": "string", "pattern": "^[A-Za-z0-9_-]{22}$", "examples": ["z0DmJMf8Tu_ovMPLnaDb5w"] });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_is_documented() {
        // Computed with Python's hashlib and base64.
        let id: uuid::Uuid = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let session = IdHash::of_session(id.into());
        assert_eq!(session.to_string(), "z0DmJMf8Tu_ovMPLnaDb5w");
        assert_eq!(IdHash::of_user(id.into()).to_string(), "RIgshqfB8iZ7CT7bDMgx6g");
        assert_eq!(IdHash::try_from(session.to_string()).unwrap(), session);
        for wrong in ["", "AAAA", "z0DmJMf8Tu_ovMPLnaDb5w=", "11111111-2222-4333-8444-555555555555"] {
            assert!(IdHash::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
