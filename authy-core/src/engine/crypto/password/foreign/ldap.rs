//! The schemes of LDAP's `userPassword` (RFC 2307): `{SSHA}`, its successors with SHA-2, and those that contain another
//! format.

use super::{
    Foreign, Result, base64, limit,
    scheme::{Scheme, Sha},
};
use crate::engine::crypto::password::format::UnusableHash;

/// Parses what follows the `{`. The hash and then the salt are in base64.
pub(super) fn parse(text: &str) -> Result<Foreign> {
    let (name, rest) = text.split_once('}').ok_or(UnusableHash::Unknown)?;
    let (format, sha) = match name.to_ascii_uppercase().as_str() {
        // OpenLDAP writes `{CRYPT}` before the hashes of crypt, and Spring Security `{bcrypt}` before bcrypt.
        "CRYPT" | "BCRYPT" => match rest.strip_prefix('$') {
            Some(rest) => return Foreign::modular(rest),
            None => return Err(UnusableHash::Unknown),
        },
        "SSHA" => ("ldap {SSHA}", Sha::Sha1),
        "SSHA256" => ("ldap {SSHA256}", Sha::Sha256),
        "SSHA384" => ("ldap {SSHA384}", Sha::Sha384),
        "SSHA512" => ("ldap {SSHA512}", Sha::Sha512),
        _ => return Err(UnusableHash::Unknown),
    };
    let bytes = base64(rest)?;
    let (digest, salt) = bytes.split_at_checked(sha.len()).ok_or(UnusableHash::Malformed)?;
    if salt.is_empty() {
        return Err(UnusableHash::Malformed);
    }
    Ok(Foreign::new(format, Scheme::SaltedSha { sha, salt: limit::salt(salt.to_vec())? }, digest.to_vec()))
}
