//! The format of new hashes: argon2id in PHC strings, with a pepper as the secret input. Also verifies other argon2
//! hashes.

use std::fmt;

use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version};
use aws_lc_rs::{constant_time, rand};
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use zeroize::Zeroizing;

use super::{
    format::{HashFormat, UnusableHash},
    stored::StoredHash,
};
use crate::{
    Error, ErrorKind, Result,
    engine::crypto::{hash_config::Argon2Params, hasher::Workspace, master::Key},
};

/// A secret input of every hash that is not stored with the hashes: without it, stolen hashes are useless.
pub(super) struct Pepper {
    key_id: [u8; 4],
    key: Key,
}

impl Pepper {
    /// Creates a pepper with the identifier that its hashes contain as `keyid`.
    pub(super) fn new(key_id: [u8; 4], key: Key) -> Self {
        Self { key_id, key }
    }
}

/// argon2id with the current parameters.
pub(super) struct Argon2id {
    params: Params,
    peppers: Vec<Pepper>,
    /// The hash that is verified when there is no stored hash. Its output is all zeros, which no password produces.
    dummy_hash: String,
}

/// A parsed argon2 hash, whose cost is within the limits.
pub(super) struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    output: Output,
}

/// Length of a new hash and of its salt in bytes, as RFC 9106 recommends.
const OUTPUT_LEN: usize = 32;
const SALT_LEN: usize = 16;

impl Argon2id {
    pub(super) fn new(params: Argon2Params, peppers: Vec<Pepper>) -> Result<Self> {
        let mut ids: Vec<_> = peppers.iter().map(|pepper| pepper.key_id).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != peppers.len() {
            return Err(Error::new(ErrorKind::Internal, "two password peppers have the same key id"));
        }
        let mut builder = ParamsBuilder::new();
        builder.m_cost(params.m_cost()).t_cost(params.t_cost()).p_cost(params.p_cost()).output_len(OUTPUT_LEN);
        if let Some(pepper) = peppers.first() {
            builder.keyid(KeyId::new(&pepper.key_id).map_err(failed)?);
        }
        let params = builder.build().map_err(failed)?;
        let dummy_hash = phc(&params, &[0; SALT_LEN], &[0; OUTPUT_LEN])?;
        Ok(Self { params, peppers, dummy_hash })
    }

    pub(super) fn pepper_id(&self) -> String {
        BASE64_STANDARD_NO_PAD.encode(self.params.keyid())
    }

    /// Creates a new hash.
    pub(super) fn hash(&self, workspace: &mut Workspace, password: &[u8]) -> Result<String> {
        let mut salt = [0; SALT_LEN];
        rand::fill(&mut salt)
            .map_err(|_| Error::new(ErrorKind::Internal, "the system's random number generator failed"))?;
        let argon2 = self.argon2(Algorithm::Argon2id, Version::V0x13, &self.params)?;
        let mut output = Zeroizing::new([0; OUTPUT_LEN]);
        workspace.argon2(&argon2, password, &salt, &mut *output).map_err(failed)?;
        phc(&self.params, &salt, &*output)
    }

    /// Performs the same work as verifying a current hash, including its parsing: for a user who does not exist.
    pub(super) fn verify_dummy(&self, workspace: &mut Workspace, password: &[u8]) -> Result<()> {
        match StoredHash::parse(&self.dummy_hash) {
            Ok(StoredHash::Argon2(hash)) => self.verify(workspace, password, &hash).map(drop),
            _ => Err(Error::new(ErrorKind::Internal, "a new password hash cannot be parsed")),
        }
    }

    /// Returns whether `stored` is a hash of `password`.
    pub(super) fn verify(&self, workspace: &mut Workspace, password: &[u8], stored: &Argon2Hash) -> Result<bool> {
        let Argon2Hash { algorithm, version, params, salt, output } = stored;
        let argon2 = self.argon2(*algorithm, *version, params)?;
        let mut computed = Zeroizing::new(vec![0; output.len()]);
        workspace.argon2(&argon2, password, salt.as_ref(), &mut computed).map_err(failed)?;
        Ok(constant_time::verify_slices_are_equal(&computed, output.as_ref()).is_ok())
    }

    /// Returns whether `stored` has the current parameters and pepper.
    pub(super) fn is_current(&self, stored: &Argon2Hash) -> bool {
        let Argon2Hash { algorithm, version, params, salt, .. } = stored;
        (*algorithm, *version) == (Algorithm::Argon2id, Version::V0x13)
            && *params == self.params
            && salt.len() == SALT_LEN
    }

    fn argon2(&self, algorithm: Algorithm, version: Version, params: &Params) -> Result<Argon2<'_>> {
        // A hash without a key ID was made before there was a pepper, and is verified without one.
        if params.keyid().is_empty() {
            return Ok(Argon2::new(algorithm, version, params.clone()));
        }
        let Some(pepper) = self.peppers.iter().find(|pepper| pepper.key_id == params.keyid()) else {
            tracing::error!(key_id = ?params.keyid(), "a password hash has a pepper that is not configured");
            return Err(Error::new(ErrorKind::Internal, "a password hash has a pepper that is not configured"));
        };
        Argon2::new_with_secret(&*pepper.key, algorithm, version, params.clone()).map_err(failed)
    }
}

impl Argon2Hash {
    /// Returns the parameters of the hash.
    #[cfg(feature = "fuzz-entry-points")]
    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    /// Parses a PHC string.
    pub(super) fn parse(phc: &str) -> std::result::Result<Self, UnusableHash> {
        let phc = PasswordHash::new(phc).map_err(|_| UnusableHash::Malformed)?;
        let params = Params::try_from(&phc).map_err(|_| UnusableHash::Malformed)?;
        Argon2Params::new(params.m_cost(), params.t_cost(), params.p_cost()).map_err(|_| UnusableHash::TooExpensive)?;
        // A PHC string without a version was written by argon2 1.0, before the version field existed.
        let version = phc.version.map_or(Ok(Version::V0x10), Version::try_from);
        Ok(Self {
            algorithm: Algorithm::try_from(phc.algorithm.as_str()).map_err(|_| UnusableHash::Unknown)?,
            version: version.map_err(|_| UnusableHash::Unknown)?,
            params,
            salt: phc.salt.ok_or(UnusableHash::Malformed)?,
            output: phc.hash.ok_or(UnusableHash::Malformed)?,
        })
    }

    /// Returns the format, for reports.
    pub(super) fn format(&self) -> HashFormat {
        HashFormat::new(self.algorithm.as_str())
    }

    /// Returns whether a pepper is a part of the hash: it is one of ours.
    pub(super) fn has_pepper(&self) -> bool {
        !self.params.keyid().is_empty()
    }
}

fn phc(params: &Params, salt: &[u8], output: &[u8]) -> Result<String> {
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(failed)?,
        salt: Some(Salt::new(salt).map_err(failed)?),
        hash: Some(Output::new(output).map_err(failed)?),
    };
    Ok(phc.to_string())
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pepper").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Argon2id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2id").field("params", &self.params).field("peppers", &self.peppers).finish()
    }
}

fn failed(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::with_source(ErrorKind::Internal, "argon2 failed", cause)
}
