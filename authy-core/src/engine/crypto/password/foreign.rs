//! Hashes of other programs: werkzeug, Django, passlib, PHC strings, bcrypt, crypt, LDAP and Firebase. They are verified,
//! never created.
//!
//! They are imported, so a malicious one must neither panic nor exhaust the machine: the cost is limited when it is
//! parsed.

use aws_lc_rs::constant_time;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::format::{HashFormat, UnusableHash};

mod crypt;
mod crypt_digest;
mod ldap;
mod limit;
mod phc;
mod scheme;

pub(super) use scheme::Scheme;

use scheme::{BcryptInput, Sha};

type Result<T> = std::result::Result<T, UnusableHash>;

/// A parsed hash of another program, whose cost is within the limits.
pub(super) struct Foreign {
    format: HashFormat,
    scheme: Scheme,
    digest: Vec<u8>,
}

impl Foreign {
    /// Parses a hash.
    ///
    /// # Errors
    /// Why the text cannot be used as a hash.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if let Some(text) = text.strip_prefix('{') {
            return ldap::parse(text);
        }
        let (scheme, rest) = text.split_once('$').ok_or(UnusableHash::Unknown)?;
        match scheme {
            // `$id$…`: the modular crypt format and its successor, the PHC string.
            "" => Self::modular(rest),
            "pbkdf2_sha256" => Self::django_pbkdf2("django pbkdf2_sha256", Sha::Sha256, rest),
            "pbkdf2_sha1" => Self::django_pbkdf2("django pbkdf2_sha1", Sha::Sha1, rest),
            "scrypt" => Self::django_scrypt(rest),
            "bcrypt" => crypt::bcrypt("django bcrypt", BcryptInput::Password, rest),
            "bcrypt_sha256" => crypt::bcrypt("django bcrypt_sha256", BcryptInput::HexSha256, rest),
            method => Self::werkzeug(method, rest),
        }
    }

    /// Returns whether this is the hash of `password`. The time does not depend on the content of the hash.
    pub(super) fn verify(&self, password: &str) -> bool {
        let digest = self.scheme.digest(password.as_bytes());
        digest.is_some_and(|digest| constant_time::verify_slices_are_equal(&digest, &self.digest).is_ok())
    }

    pub(super) fn format(&self) -> HashFormat {
        self.format
    }

    pub(super) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Returns what [`Scheme::digest`] returns for the password.
    pub(super) fn digest(&self) -> &[u8] {
        &self.digest
    }

    fn new(format: &'static str, scheme: Scheme, digest: Vec<u8>) -> Self {
        Self { format: HashFormat::new(format), scheme, digest }
    }

    fn modular(text: &str) -> Result<Self> {
        let (id, rest) = text.split_once('$').ok_or(UnusableHash::Unknown)?;
        match id {
            "2a" | "2b" | "2y" => crypt::bcrypt("bcrypt", BcryptInput::Password, &format!("${text}")),
            "5" | "6" => crypt::sha_crypt(id, rest),
            "fbscrypt" => phc::firebase(rest),
            id => phc::parse(id, rest),
        }
    }

    /// `pbkdf2:sha256:600000$salt$hex` or `scrypt:32768:8:1$salt$hex`; the salt is text.
    ///
    /// A method without numbers is refused: werkzeug accepts it, but writes the numbers into the hash.
    fn werkzeug(method: &str, rest: &str) -> Result<Self> {
        let (method, params) = method.split_once(':').ok_or(UnusableHash::Unknown)?;
        let (salt, digest) = rest.split_once('$').ok_or(UnusableHash::Malformed)?;
        let salt = salt.as_bytes().to_vec();
        let digest = hex::decode(digest).map_err(|_| UnusableHash::Malformed)?;
        let mut params = params.split(':');
        let mut param = || params.next().ok_or(UnusableHash::Malformed);
        let (name, scheme) = match method {
            "pbkdf2" => {
                let (name, sha) = match param()? {
                    "sha1" => ("werkzeug pbkdf2:sha1", Sha::Sha1),
                    "sha256" => ("werkzeug pbkdf2:sha256", Sha::Sha256),
                    "sha384" => ("werkzeug pbkdf2:sha384", Sha::Sha384),
                    "sha512" => ("werkzeug pbkdf2:sha512", Sha::Sha512),
                    _ => return Err(UnusableHash::Unknown),
                };
                (name, Scheme::pbkdf2(sha, param()?, salt, digest.len())?)
            }
            "scrypt" => {
                let params = limit::scrypt(limit::log_of(param()?)?, param()?, param()?)?;
                ("werkzeug scrypt", Scheme::scrypt(params, salt, digest.len())?)
            }
            _ => return Err(UnusableHash::Unknown),
        };
        match params.next() {
            Some(_) => Err(UnusableHash::Malformed),
            None => Ok(Self::new(name, scheme, digest)),
        }
    }

    /// `iterations$salt$base64`; the salt is text.
    fn django_pbkdf2(name: &'static str, sha: Sha, rest: &str) -> Result<Self> {
        let [iterations, salt, digest] = parts(rest)?;
        let digest = base64(digest)?;
        Ok(Self::new(name, Scheme::pbkdf2(sha, iterations, salt.as_bytes().to_vec(), digest.len())?, digest))
    }

    /// `n$salt$r$p$base64`; the salt is text.
    fn django_scrypt(rest: &str) -> Result<Self> {
        let [n, salt, r, p, digest] = parts(rest)?;
        let digest = base64(digest)?;
        let params = limit::scrypt(limit::log_of(n)?, r, p)?;
        Ok(Self::new("django scrypt", Scheme::scrypt(params, salt.as_bytes().to_vec(), digest.len())?, digest))
    }
}

/// Splits a text at each `$` into exactly that many parts.
fn parts<const N: usize>(text: &str) -> Result<[&str; N]> {
    let parts: Vec<_> = text.splitn(N + 1, '$').collect();
    parts.try_into().map_err(|_| UnusableHash::Malformed)
}

/// Decodes base64 of any variant: with or without padding, with `-` and `_`, or passlib's, which has `.` instead of `+`.
fn base64(text: &str) -> Result<Vec<u8>> {
    let text = text.trim_end_matches('=').replace(['.', '-'], "+").replace('_', "/");
    STANDARD_NO_PAD.decode(text).map_err(|_| UnusableHash::Malformed)
}

#[cfg(test)]
mod tests;
