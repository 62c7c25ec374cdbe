//! The limits on the cost of a hash. Each is about two to four seconds of one core, and several times the highest current
//! recommendation.

use std::{num::NonZeroU32, str::FromStr};

use super::Result;
use crate::engine::crypto::password::format::UnusableHash;

const MAX_PBKDF2_ITERATIONS: u32 = 5_000_000;
const MAX_BCRYPT_COST: u32 = 15;
/// n times r. With 128 bytes each, this is 256 MiB.
const MAX_SCRYPT_MEMORY: u64 = 1 << 21;
/// n times r times p.
const MAX_SCRYPT_WORK: u64 = 1 << 22;
const MAX_SCRYPT_R_OR_P: u32 = 64;
/// With a password of [`MAX_CRYPT_PASSWORD`] bytes, each round hashes ten times as much as with a short one.
const MAX_CRYPT_ROUNDS: u32 = 1_000_000;
/// Maximum length of a password of crypt, in bytes: that of libxcrypt. The time of crypt grows with it.
pub(super) const MAX_CRYPT_PASSWORD: usize = 511;
/// Maximum length of a salt, in bytes. Programs use 8 to 32.
const MAX_SALT: usize = 256;

/// Parses a decimal number. One that does not fit is not malformed, but too large.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T> {
    // `parse` accepts a sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UnusableHash::Malformed);
    }
    text.parse().map_err(|_| UnusableHash::TooExpensive)
}

/// Parses the number of iterations of PBKDF2.
pub(super) fn iterations(text: &str) -> Result<NonZeroU32> {
    let iterations = at_most(number(text)?, MAX_PBKDF2_ITERATIONS)?;
    NonZeroU32::new(iterations).ok_or(UnusableHash::Malformed)
}

/// Parses the cost of bcrypt: the logarithm of the number of rounds.
pub(super) fn bcrypt(cost: &str) -> Result<u32> {
    match number(cost)? {
        0..4 => Err(UnusableHash::Malformed),
        cost => at_most(cost, MAX_BCRYPT_COST),
    }
}

/// Parses the number of rounds of SHA-crypt.
pub(super) fn rounds(text: &str) -> Result<sha_crypt::Params> {
    let rounds = at_most(number(text)?, MAX_CRYPT_ROUNDS)?;
    sha_crypt::Params::new(rounds).map_err(|_| UnusableHash::Malformed)
}

/// Parses the parameters of scrypt, the first one as a logarithm.
pub(super) fn scrypt(log_n: u32, r: &str, p: &str) -> Result<scrypt::Params> {
    let [r, p] = [at_most(number(r)?, MAX_SCRYPT_R_OR_P)?, at_most(number(p)?, MAX_SCRYPT_R_OR_P)?];
    let memory = 1_u64.checked_shl(log_n).and_then(|n| n.checked_mul(r.into()));
    let memory = memory.filter(|memory| *memory <= MAX_SCRYPT_MEMORY).ok_or(UnusableHash::TooExpensive)?;
    if memory * u64::from(p) > MAX_SCRYPT_WORK {
        return Err(UnusableHash::TooExpensive);
    }
    // RFC 7914 does not permit n = 1.
    let log_n = u8::try_from(log_n).ok().filter(|log_n| *log_n > 0).ok_or(UnusableHash::Malformed)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| UnusableHash::Malformed)
}

/// Parses a power of two, and returns its logarithm.
pub(super) fn log_of(n: &str) -> Result<u32> {
    let n: u64 = number(n)?;
    if n.is_power_of_two() { Ok(n.trailing_zeros()) } else { Err(UnusableHash::Malformed) }
}

/// Checks the length of a hash, in bytes. A short one matches too many passwords, and an empty one all of them. A long one
/// costs more than its iterations indicate.
pub(super) fn digest_len(len: usize) -> Result<usize> {
    if (16..=64).contains(&len) { Ok(len) } else { Err(UnusableHash::Malformed) }
}

pub(super) fn salt(salt: Vec<u8>) -> Result<Vec<u8>> {
    if salt.len() <= MAX_SALT { Ok(salt) } else { Err(UnusableHash::Malformed) }
}

fn at_most(value: u32, max: u32) -> Result<u32> {
    if value <= max { Ok(value) } else { Err(UnusableHash::TooExpensive) }
}
