//! The cost of a stored hash, and its verification, for fuzz targets.

use std::sync::{Arc, atomic::AtomicU64};

use super::{
    PasswordForms, Verdict,
    argon2id::{Argon2Hash, Argon2id},
    foreign::Scheme,
    stored::StoredHash,
    verify,
};
use crate::{
    Result, Secret,
    engine::crypto::{hash_config::Argon2Params, hasher::Workspace},
};

/// The cost of verifying a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, in KiB.
    pub memory_kib: u64,
    /// Steps, each about a microsecond: KiB filled by argon2 and scrypt, iterations of PBKDF2, rounds of SHA-crypt, 64 a round
    /// of bcrypt.
    pub steps: u64,
}

/// Returns the cost of a stored hash; `None` when it is refused.
pub fn hash_cost(stored: &str) -> Option<HashCost> {
    Some(match StoredHash::parse(stored).ok()? {
        StoredHash::Argon2(hash) => argon2_cost(&hash),
        StoredHash::Foreign(hash) => scheme_cost(hash.scheme()),
        StoredHash::Wrapped(hash) => {
            let (scheme, argon2) = hash.parts();
            let (scheme, argon2) = (scheme_cost(scheme), argon2_cost(argon2));
            HashCost {
                memory_kib: scheme.memory_kib.max(argon2.memory_kib),
                steps: scheme.steps.saturating_add(argon2.steps),
            }
        }
    })
}

fn argon2_cost(hash: &Argon2Hash) -> HashCost {
    let (memory, passes) = (u64::from(hash.params().m_cost()), u64::from(hash.params().t_cost()));
    HashCost { memory_kib: memory, steps: memory.saturating_mul(passes) }
}

fn scheme_cost(scheme: &Scheme) -> HashCost {
    match scheme {
        Scheme::Pbkdf2 { iterations, .. } => HashCost { memory_kib: 0, steps: iterations.get().into() },
        Scheme::Scrypt { params, .. } | Scheme::Firebase { params, .. } => {
            let kib = (1_u64 << params.log_n()).saturating_mul(params.r().into()) / 8;
            HashCost { memory_kib: kib, steps: kib.saturating_mul(params.p().into()) }
        }
        Scheme::Bcrypt { cost, .. } => HashCost { memory_kib: 4, steps: 64 << cost },
        Scheme::ShaCrypt { rounds, .. } => {
            let rounds = rounds.to_string().trim_start_matches("rounds=").parse().unwrap_or(u64::MAX);
            HashCost { memory_kib: 0, steps: rounds }
        }
        Scheme::SaltedSha { .. } => HashCost { memory_kib: 0, steps: 1 },
    }
}

/// Returns whether a stored hash matches a password, as at a login. A refused hash matches none.
///
/// # Errors
/// When argon2 fails, or the hash specifies a pepper.
pub fn verify_hash(stored: &str, password: &str) -> Result<bool> {
    // The cheapest parameters of argon2: a refused hash costs one current hash, which is not under test.
    let current = Argon2id::new(Argon2Params::new(8, 1, 1).unwrap_or_default(), Vec::new())?;
    let mut workspace = Workspace::new(0, Arc::new(AtomicU64::new(0)));
    let password = PasswordForms::new(&Secret::new(password));
    Ok(verify(&current, &mut workspace, &password, Some(stored))? != Verdict::Mismatch)
}
