//! What is needed to compute a hash of another program from a password: the function, its cost and the salt.

use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey},
    digest::{self, Context},
    iv::FixedLength,
    pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512},
};
use zeroize::Zeroizing;

use super::{
    Result,
    crypt_digest::{bcrypt_digest, sha_crypt_text},
    limit,
};
use crate::engine::crypto::password::format::UnusableHash;

mod text;

/// A function from passwords to hashes, whose cost is within the limits.
pub(in super::super) enum Scheme {
    /// PBKDF2 (RFC 8018) with HMAC.
    Pbkdf2 { sha: Sha, iterations: NonZeroU32, salt: Vec<u8>, len: usize },
    /// scrypt (RFC 7914).
    Scrypt { params: scrypt::Params, salt: Vec<u8>, len: usize },
    /// Firebase's: AES-256-CTR of the signer key of the project, with the scrypt of the password as the key.
    /// <https://github.com/firebase/scrypt>
    Firebase { params: scrypt::Params, salt: Vec<u8>, signer_key: Vec<u8> },
    /// bcrypt. The hash is the last part of its text.
    Bcrypt { cost: u32, salt: [u8; 16], input: BcryptInput },
    /// SHA-crypt. The hash is the last part of its text.
    ShaCrypt { sha: Sha, rounds: sha_crypt::Params, salt: String },
    /// LDAP's: one hash of the password and the salt.
    SaltedSha { sha: Sha, salt: Vec<u8> },
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Sha {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// What bcrypt gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum BcryptInput {
    Password,
    /// The SHA-256 of the password in hexadecimal: Django's `bcrypt_sha256`.
    HexSha256,
}

impl Scheme {
    pub(super) fn pbkdf2(sha: Sha, iterations: &str, salt: Vec<u8>, len: usize) -> Result<Self> {
        let (iterations, salt, len) = (limit::iterations(iterations)?, limit::salt(salt)?, limit::digest_len(len)?);
        Ok(Self::Pbkdf2 { sha, iterations, salt, len })
    }

    pub(super) fn scrypt(params: scrypt::Params, salt: Vec<u8>, len: usize) -> Result<Self> {
        Ok(Self::Scrypt { params, salt: limit::salt(salt)?, len: limit::digest_len(len)? })
    }

    pub(super) fn firebase(params: scrypt::Params, salt: Vec<u8>, signer_key: Vec<u8>) -> Result<Self> {
        limit::digest_len(signer_key.len())?;
        Ok(Self::Firebase { params, salt: limit::salt(salt)?, signer_key })
    }

    pub(super) fn sha_crypt(sha: Sha, rounds: sha_crypt::Params, salt: &str) -> Result<Self> {
        // A longer one is not used in full, and crypt does not write it.
        let is_salt = salt.len() <= 16 && matches!(sha, Sha::Sha256 | Sha::Sha512);
        if is_salt { Ok(Self::ShaCrypt { sha, rounds, salt: salt.to_owned() }) } else { Err(UnusableHash::Malformed) }
    }

    /// Computes the hash of a password. `None` when no program has hashed such a password with this function; this takes as
    /// long as for any other password.
    pub(in super::super) fn digest(&self, password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Pbkdf2 { sha, iterations, salt, len } => {
                let mut out = Zeroizing::new(vec![0; *len]);
                pbkdf2::derive(sha.pbkdf2(), *iterations, salt, password, &mut out);
                Some(out)
            }
            Self::Scrypt { params, salt, len } => scrypt_of(password, params, salt, *len),
            Self::Firebase { params, salt, signer_key } => {
                let key = scrypt_of(password, params, salt, 32)?;
                let key = UnboundCipherKey::new(&AES_256, &key).and_then(EncryptingKey::ctr).ok()?;
                let mut encrypted = Zeroizing::new(signer_key.clone());
                let zero = EncryptionContext::Iv128(FixedLength::from([0; 16]));
                key.less_safe_encrypt(&mut encrypted, zero).ok()?;
                Some(encrypted)
            }
            Self::Bcrypt { cost, salt, input } => {
                let password = match input {
                    BcryptInput::Password => Zeroizing::new(password.to_vec()),
                    BcryptInput::HexSha256 => {
                        Zeroizing::new(hex::encode(digest::digest(&digest::SHA256, password)).into_bytes())
                    }
                };
                // bcrypt ignores everything after byte 72, so a longer password must match.
                let hash = bcrypt::hash_with_salt(&*password, *cost, *salt).ok()?;
                bcrypt_digest(&hash).ok().filter(|_| is_c_string(&password))
            }
            Self::ShaCrypt { sha, rounds, salt } => {
                // libxcrypt does not hash longer ones. Their time would grow with the square of their length.
                let used = password.get(..limit::MAX_CRYPT_PASSWORD).unwrap_or(password);
                let hash = match sha {
                    Sha::Sha256 => Zeroizing::new(sha_crypt::sha256_crypt(used, salt.as_bytes(), *rounds).to_vec()),
                    _ => Zeroizing::new(sha_crypt::sha512_crypt(used, salt.as_bytes(), *rounds).to_vec()),
                };
                Some(sha_crypt_text(&hash)).filter(|_| used.len() == password.len() && is_c_string(password))
            }
            Self::SaltedSha { sha, salt } => {
                let mut context = Context::new(sha.digest());
                context.update(password);
                context.update(salt);
                Some(Zeroizing::new(context.finish().as_ref().to_vec()))
            }
        }
    }
}

impl Sha {
    /// Length of a hash, in bytes.
    pub(super) fn len(self) -> usize {
        self.digest().output_len()
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => PBKDF2_HMAC_SHA1,
            Self::Sha256 => PBKDF2_HMAC_SHA256,
            Self::Sha384 => PBKDF2_HMAC_SHA384,
            Self::Sha512 => PBKDF2_HMAC_SHA512,
        }
    }
}

fn scrypt_of(password: &[u8], params: &scrypt::Params, salt: &[u8], len: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(vec![0; len]);
    scrypt::scrypt(password, salt, params, &mut out).ok().map(|()| out)
}

/// Returns whether a password contains no NUL. In C it ends the password, so no program hashes such a password
/// intentionally.
fn is_c_string(password: &[u8]) -> bool {
    !password.contains(&0)
}
