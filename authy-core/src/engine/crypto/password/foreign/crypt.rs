//! The modular crypt formats: bcrypt, and SHA-crypt (`$5$` and `$6$`).

use super::{
    Foreign, Result,
    crypt_digest::bcrypt_digest,
    limit, parts,
    scheme::{BcryptInput, Scheme, Sha},
};
use crate::engine::crypto::password::format::UnusableHash;

/// Parses `$2b$cost$…`.
pub(super) fn bcrypt(format: &'static str, input: BcryptInput, text: &str) -> Result<Foreign> {
    let [_, version, cost, _] = parts(text)?;
    // `2x` marks hashes of a broken implementation, which this is not.
    if !matches!(version, "2a" | "2b" | "2y") {
        return Err(UnusableHash::Malformed);
    }
    let cost = limit::bcrypt(cost)?;
    let hash: bcrypt::HashParts = text.parse().map_err(|_| UnusableHash::Malformed)?;
    let scheme = Scheme::Bcrypt { cost, salt: hash.get_salt_raw(), input };
    Ok(Foreign::new(format, scheme, bcrypt_digest(&hash)?.to_vec()))
}

/// Parses `salt$hash` or `rounds=…$salt$hash`, after `$5$` (SHA-256) or `$6$` (SHA-512).
/// <https://www.akkadia.org/drepper/SHA-crypt.txt>
pub(super) fn sha_crypt(id: &str, rest: &str) -> Result<Foreign> {
    let (format, sha, len) = if id == "5" { ("crypt $5$", Sha::Sha256, 43) } else { ("crypt $6$", Sha::Sha512, 86) };
    let (rounds, rest) = match rest.strip_prefix("rounds=") {
        Some(rest) => rest.split_once('$').ok_or(UnusableHash::Malformed)?,
        None => ("5000", rest),
    };
    let rounds = limit::rounds(rounds)?;
    let [salt, digest] = parts(rest)?;
    let is_digest =
        digest.len() == len && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
    if !is_digest {
        return Err(UnusableHash::Malformed);
    }
    Ok(Foreign::new(format, Scheme::sha_crypt(sha, rounds, salt)?, digest.as_bytes().to_vec()))
}
