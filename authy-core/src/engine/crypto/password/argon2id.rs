//! Our own hashes: argon2id in PHC strings, with a pepper as argon2's secret input. Also verifies any other argon2.

use std::fmt;

use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version};
use aws_lc_rs::{constant_time, rand};
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use zeroize::Zeroizing;

use super::foreign::Foreign;
use crate::{
    Error, ErrorKind, Result,
    engine::crypto::{hash_config::Argon2Params, hasher::Workspace, master::Key},
};

/// A secret that goes into every hash and is not stored with it: without it a stolen table of hashes is of no use.
pub(super) struct Pepper {
    key_id: [u8; 4],
    key: Key,
}

impl Pepper {
    /// A pepper, and the identifier that its hashes carry in their `keyid`.
    pub(super) fn new(key_id: [u8; 4], key: Key) -> Self {
        Self { key_id, key }
    }
}

/// argon2id as it is used today.
pub(super) struct Argon2id {
    params: Params,
    peppers: Vec<Pepper>,
    /// What is verified when there is nothing to verify: all zeros, which no password hashes to.
    nobodys: String,
}

/// A stored hash, read.
pub(super) enum Stored {
    Argon2(Argon2Hash),
    Foreign(Foreign),
}

/// A stored argon2 hash, read; its cost is within the caps.
pub(super) struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    output: Output,
}

/// Bytes of a new hash, and of its salt: what RFC 9106 recommends.
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
        let nobodys = phc(&params, &[0; SALT_LEN], &[0; OUTPUT_LEN])?;
        Ok(Self { params, peppers, nobodys })
    }

    pub(super) fn pepper_id(&self) -> String {
        BASE64_STANDARD_NO_PAD.encode(self.params.keyid())
    }

    /// Makes a new hash.
    pub(super) fn hash(&self, workspace: &mut Workspace, password: &str) -> Result<String> {
        let mut salt = [0; SALT_LEN];
        rand::fill(&mut salt).map_err(|_| Error::new(ErrorKind::Internal, "there is no randomness for a salt"))?;
        let argon2 = self.argon2(Algorithm::Argon2id, Version::V0x13, &self.params)?;
        let mut output = Zeroizing::new([0; OUTPUT_LEN]);
        workspace.argon2(&argon2, password.as_bytes(), &salt, &mut *output).map_err(failed)?;
        phc(&self.params, &salt, &*output)
    }

    /// Costs what verifying a hash of today costs, down to its being read: the answer for a user who is not there.
    pub(super) fn spend(&self, workspace: &mut Workspace, password: &str) -> Result<()> {
        match Stored::parse(&self.nobodys) {
            Some(Stored::Argon2(hash)) => self.verify(workspace, password, &hash).map(drop),
            _ => Err(Error::new(ErrorKind::Internal, "a hash that was made here cannot be read")),
        }
    }

    /// Tells whether `stored` was made from `password`.
    pub(super) fn verify(&self, workspace: &mut Workspace, password: &str, stored: &Argon2Hash) -> Result<bool> {
        let Argon2Hash { algorithm, version, params, salt, output } = stored;
        let argon2 = self.argon2(*algorithm, *version, params)?;
        let mut computed = Zeroizing::new(vec![0; output.len()]);
        workspace.argon2(&argon2, password.as_bytes(), salt.as_ref(), &mut computed).map_err(failed)?;
        Ok(constant_time::verify_slices_are_equal(&computed, output.as_ref()).is_ok())
    }

    /// Whether `stored` is as a new hash would be.
    pub(super) fn made(&self, stored: &Argon2Hash) -> bool {
        let Argon2Hash { algorithm, version, params, salt, .. } = stored;
        (*algorithm, *version) == (Algorithm::Argon2id, Version::V0x13)
            && *params == self.params
            && salt.len() == SALT_LEN
    }

    fn argon2(&self, algorithm: Algorithm, version: Version, params: &Params) -> Result<Argon2<'_>> {
        // A hash made before there was a pepper has no key id, and is verified without.
        if params.keyid().is_empty() {
            return Ok(Argon2::new(algorithm, version, params.clone()));
        }
        let Some(pepper) = self.peppers.iter().find(|pepper| pepper.key_id == params.keyid()) else {
            tracing::error!(key_id = ?params.keyid(), "a password hash was made with a pepper that is not configured");
            return Err(Error::new(
                ErrorKind::Internal,
                "a password hash was made with a pepper that is not configured",
            ));
        };
        Argon2::new_with_secret(&*pepper.key, algorithm, version, params.clone()).map_err(failed)
    }
}

impl Stored {
    /// Reads a stored hash, whatever made it. `None` when it is unknown or malformed, or costs more than the caps
    /// allow.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // No hash is that long, and what is short is read in no time.
        if text.len() > 1024 {
            return None;
        }
        // Django writes `argon2` before the PHC string.
        let phc = text.strip_prefix("argon2").unwrap_or(text);
        match phc.starts_with("$argon2") {
            true => Argon2Hash::parse(phc).map(Self::Argon2),
            false => Foreign::parse(text).map(Self::Foreign),
        }
    }
}

impl Argon2Hash {
    /// What it asks for.
    #[cfg(feature = "fuzz-entry-points")]
    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    fn parse(phc: &str) -> Option<Self> {
        let phc = PasswordHash::new(phc).ok()?;
        let params = Params::try_from(&phc).ok()?;
        Argon2Params::new(params.m_cost(), params.t_cost(), params.p_cost()).ok()?;
        Some(Self {
            algorithm: Algorithm::try_from(phc.algorithm.as_str()).ok()?,
            // A string without a version is older than the version field: it was written by argon2 1.0.
            version: phc.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?,
            params,
            salt: phc.salt?,
            output: phc.hash?,
        })
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
