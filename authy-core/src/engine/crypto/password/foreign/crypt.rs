//! The modular crypt formats: bcrypt, and SHA-crypt (`$5$` and `$6$`).

use base64ct::{Base64ShaCrypt, Encoding as _};
use zeroize::Zeroizing;

use super::{
    Foreign, Result, limit, parts,
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

/// Returns the last part of the text of a hash.
pub(super) fn bcrypt_digest(hash: &bcrypt::HashParts) -> Result<Zeroizing<Vec<u8>>> {
    let text = Zeroizing::new(hash.format_for_version(bcrypt::Version::TwoB));
    // `$2b$12$`, and 22 characters of the salt.
    let digest = text.as_bytes().get(7 + 22..).ok_or(UnusableHash::Malformed)?;
    Ok(Zeroizing::new(digest.to_vec()))
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

/// Returns the text of a hash as crypt writes it: three bytes at a time, one from each third.
pub(super) fn sha_crypt_text(digest: &[u8]) -> Zeroizing<Vec<u8>> {
    // With 32 bytes the groups are (20, 10, 0), (11, 1, 21), …: each position moves by 21 of 30. With 64 bytes they are
    // (42, 21, 0), (1, 43, 22), …: each moves by 22 of 63.
    let grouped = digest.len() - digest.len() % 3;
    let (third, step) = (grouped / 3, if grouped == 30 { 21 } else { 22 });
    let order = (0..third).flat_map(|group| [2 * third, third, 0].map(|start| (start + group * step) % grouped));
    let order = order.chain(grouped..digest.len());
    let ordered: Zeroizing<Vec<u8>> = Zeroizing::new(order.filter_map(|index| digest.get(index).copied()).collect());
    Zeroizing::new(Base64ShaCrypt::encode_string(&ordered).into_bytes())
}
