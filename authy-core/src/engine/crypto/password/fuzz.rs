//! The cost of a stored hash, and its verification, for fuzz targets.

use std::sync::{Arc, atomic::AtomicU64};

use super::{
    Verdict,
    argon2id::{Argon2id, StoredHash},
    foreign::Foreign,
    verify,
};
use crate::{
    Result,
    engine::crypto::{hash_config::Argon2Params, hasher::Workspace},
};

/// The cost of verifying a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, in KiB.
    pub memory_kib: u64,
    /// Steps, each about a microsecond: KiB filled by argon2 and scrypt, iterations of PBKDF2, 64 a round of bcrypt.
    pub steps: u64,
}

/// Returns the cost of a stored hash; `None` when it is refused.
pub fn hash_cost(stored: &str) -> Option<HashCost> {
    Some(match StoredHash::parse(stored)? {
        StoredHash::Argon2(hash) => {
            let (memory, passes) = (u64::from(hash.params().m_cost()), u64::from(hash.params().t_cost()));
            HashCost { memory_kib: memory, steps: memory.saturating_mul(passes) }
        }
        StoredHash::Foreign(Foreign::Pbkdf2 { iterations, .. }) => {
            HashCost { memory_kib: 0, steps: iterations.get().into() }
        }
        StoredHash::Foreign(Foreign::Scrypt { params, .. }) => {
            let kib = (1_u64 << params.log_n()).saturating_mul(params.r().into()) / 8;
            HashCost { memory_kib: kib, steps: kib.saturating_mul(params.p().into()) }
        }
        StoredHash::Foreign(Foreign::Bcrypt { hash } | Foreign::BcryptSha256 { hash }) => {
            let cost = hash.parse::<bcrypt::HashParts>().ok()?.get_cost();
            HashCost { memory_kib: 4, steps: 64 << cost }
        }
    })
}

/// Returns whether a stored hash matches a password, as at a login. A refused hash matches none.
///
/// # Errors
/// When argon2 fails, or the hash specifies a pepper.
pub fn verify_hash(stored: &str, password: &str) -> Result<bool> {
    // The cheapest parameters of argon2: a refused hash costs one current hash, which is not under test.
    let current = Argon2id::new(Argon2Params::new(8, 1, 1).unwrap_or_default(), Vec::new())?;
    let mut workspace = Workspace::new(0, Arc::new(AtomicU64::new(0)));
    Ok(verify(&current, &mut workspace, password, Some(stored))? != Verdict::Mismatch)
}
