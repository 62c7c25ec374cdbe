//! What a stored hash asks for, and whether it is of a password, for fuzz targets.

use std::sync::{Arc, atomic::AtomicU64};

use super::{
    Verdict,
    argon2id::{Argon2id, Stored},
    foreign::Foreign,
    verify,
};
use crate::{
    Result,
    engine::crypto::{hash_config::Argon2Params, hasher::Workspace},
};

/// What verifying a stored hash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, in KiB.
    pub memory_kib: u64,
    /// Steps, each about a microsecond: KiB filled by argon2 and scrypt, iterations of PBKDF2, 64 a round of bcrypt.
    pub steps: u64,
}

/// What a stored hash asks for; `None` when it is refused.
pub fn hash_cost(stored: &str) -> Option<HashCost> {
    Some(match Stored::parse(stored)? {
        Stored::Argon2(hash) => {
            let (memory, passes) = (u64::from(hash.params().m_cost()), u64::from(hash.params().t_cost()));
            HashCost { memory_kib: memory, steps: memory.saturating_mul(passes) }
        }
        Stored::Foreign(Foreign::Pbkdf2 { iterations, .. }) => {
            HashCost { memory_kib: 0, steps: iterations.get().into() }
        }
        Stored::Foreign(Foreign::Scrypt { params, .. }) => {
            let kib = (1_u64 << params.log_n()).saturating_mul(params.r().into()) / 8;
            HashCost { memory_kib: kib, steps: kib.saturating_mul(params.p().into()) }
        }
        Stored::Foreign(Foreign::Bcrypt { hash } | Foreign::BcryptSha256 { hash }) => {
            let cost = hash.parse::<bcrypt::HashParts>().ok()?.get_cost();
            HashCost { memory_kib: 4, steps: 64 << cost }
        }
    })
}

/// Whether a stored hash is of a password, as a login finds it out: a hash that is refused is of none.
///
/// # Errors
/// When argon2 refuses, or the hash names a pepper.
pub fn verify_hash(stored: &str, password: &str) -> Result<bool> {
    // As cheap as argon2 can be: what is not read costs one hash of today, and that is not what is looked at.
    let today = Argon2id::new(Argon2Params::new(8, 1, 1).unwrap_or_default(), Vec::new())?;
    let mut workspace = Workspace::new(0, Arc::new(AtomicU64::new(0)));
    Ok(verify(&today, &mut workspace, password, Some(stored))? != Verdict::Mismatch)
}
