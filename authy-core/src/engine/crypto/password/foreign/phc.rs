//! PHC strings, and the formats that resemble them.

use super::{
    Foreign, Result, base64, limit, parts,
    scheme::{Scheme, Sha},
};
use crate::engine::crypto::password::format::UnusableHash;

/// `parameters$salt$hash`, both in base64 without padding. passlib's pbkdf2 differs slightly: its parameters are only the
/// number of iterations, and its base64 has `.` instead of `+`.
pub(super) fn parse(id: &str, rest: &str) -> Result<Foreign> {
    let (name, sha) = match id {
        "pbkdf2" => ("pbkdf2 (SHA-1)", Some(Sha::Sha1)),
        "pbkdf2-sha256" => ("pbkdf2-sha256", Some(Sha::Sha256)),
        "pbkdf2-sha512" => ("pbkdf2-sha512", Some(Sha::Sha512)),
        "scrypt" => ("scrypt", None),
        _ => return Err(UnusableHash::Unknown),
    };
    let [params, salt, digest] = parts(rest)?;
    let (salt, digest) = (base64(salt)?, base64(digest)?);
    let scheme = match sha {
        Some(sha) => Scheme::pbkdf2(sha, param(params, "i=").unwrap_or(params), salt, digest.len())?,
        None => Scheme::scrypt(scrypt(params, "ln=")?, salt, digest.len())?,
    };
    Ok(Foreign::new(name, scheme, digest))
}

/// Firebase's scrypt as GoTrue writes it (Supabase Auth): `v=1,n=14,r=8,p=1,ss=…,sk=…$salt$hash`, with the salt separator
/// and the signer key of the Firebase project, in base64. Here `n` is a logarithm.
pub(super) fn firebase(rest: &str) -> Result<Foreign> {
    let [params, salt, digest] = parts(rest)?;
    if param(params, "v=") != Some("1") {
        return Err(UnusableHash::Malformed);
    }
    let separator = base64(param(params, "ss=").unwrap_or_default())?;
    let signer_key = base64(param(params, "sk=").ok_or(UnusableHash::Malformed)?)?;
    let (salt, digest) = ([base64(salt)?, separator].concat(), base64(digest)?);
    // The hash is the encrypted signer key.
    if digest.len() != signer_key.len() {
        return Err(UnusableHash::Malformed);
    }
    let scheme = Scheme::firebase(scrypt(params, "n=")?, salt, signer_key)?;
    Ok(Foreign::new("firebase scrypt", scheme, digest))
}

/// Reads the parameters of scrypt; the name of the logarithm of n differs.
pub(super) fn scrypt(params: &str, log_n: &str) -> Result<scrypt::Params> {
    let required = |name| param(params, name).ok_or(UnusableHash::Malformed);
    limit::scrypt(limit::number(required(log_n)?)?, required("r=")?, required("p=")?)
}

/// Returns the value of a parameter, whose name ends with `=`.
pub(super) fn param<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    params.split(',').find_map(|param| param.strip_prefix(name))
}
