//! Hashes for the program that authy has replaced, which its operator may want to start again: PBKDF2 with SHA-256, as
//! werkzeug writes it.
//!
//! They are computed in slices, so that the thread is free again within milliseconds when a caller needs a hash. No library
//! stops in the middle of PBKDF2, so its loop is here; the tests compare it with that of the library.

use std::ops::ControlFlow;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::{Result, Secret, engine::crypto::random::random_text};

/// The recommendation of OWASP for PBKDF2 with SHA-256. Every version of werkzeug verifies it, and faster than the million
/// iterations with SHA-512 that the first authy uses itself; scrypt would need werkzeug 2.3.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
const ITERATIONS: u32 = 600_000;

/// Iterations of a slice: a few milliseconds, less than a hash of argon2id.
const SLICE: u32 = 10_000;

/// Length of a SHA-256, in bytes: one block of PBKDF2.
const LEN: usize = 32;

type Block = Zeroizing<[u8; LEN]>;

/// Returns whether werkzeug can verify a stored hash: the password of its user needs no other.
pub(in crate::engine) fn is_werkzeug(stored: &str) -> bool {
    stored.starts_with("pbkdf2:") || stored.starts_with("scrypt:")
}

/// A hash under way.
pub(super) struct FallbackHash {
    key: hmac::Key,
    salt: String,
    /// `U_i` of RFC 8018, section 5.2.
    last: Block,
    /// The exclusive or of all `U_i`.
    sum: Block,
    iterations: u32,
    done: u32,
}

impl FallbackHash {
    pub(super) fn begin(password: &str) -> Result<Self> {
        // 16 characters, none of which is a dollar sign: as long as the salts of werkzeug.
        Ok(Self::with(password, random_text::<12>()?, ITERATIONS))
    }

    fn with(password: &str, salt: String, iterations: u32) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, password.as_bytes());
        let first = block(&key, &[salt.as_bytes(), &1_u32.to_be_bytes()].concat());
        Self { key, salt, last: first.clone(), sum: first, iterations, done: 1 }
    }

    /// Computes a slice. Breaks with the text at the end.
    pub(super) fn proceed(mut self) -> ControlFlow<Secret, Self> {
        let end = self.iterations.min(self.done.saturating_add(SLICE));
        while self.done < end {
            self.last = block(&self.key, &*self.last);
            self.sum.iter_mut().zip(self.last.iter()).for_each(|(sum, last)| *sum ^= last);
            self.done += 1;
        }
        match self.done < self.iterations {
            true => ControlFlow::Continue(self),
            false => {
                let hex = Zeroizing::new(hex::encode(*self.sum));
                ControlFlow::Break(Secret::new(format!("pbkdf2:sha256:{}${}${}", self.iterations, self.salt, *hex)))
            }
        }
    }
}

fn block(key: &hmac::Key, input: &[u8]) -> Block {
    Zeroizing::new(hmac::sign(key, input).as_ref().first_chunk().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use aws_lc_rs::pbkdf2;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::crypto::password::stored::classify;

    fn finish(mut hash: FallbackHash) -> (Secret, u32) {
        let mut slices = 1;
        loop {
            match hash.proceed() {
                ControlFlow::Break(text) => return (text, slices),
                ControlFlow::Continue(rest) => (hash, slices) = (rest, slices + 1),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn slices_are_the_pbkdf2_of_the_library(password: String, salt in "[a-z]{1,20}", iterations in 1_u32..25_000) {
            let (text, _) = finish(FallbackHash::with(&password, salt.clone(), iterations));
            let mut expected = [0; LEN];
            let count = NonZeroU32::new(iterations).unwrap();
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, count, salt.as_bytes(), password.as_bytes(), &mut expected);
            prop_assert_eq!(text.expose(), format!("pbkdf2:sha256:{iterations}${salt}${}", hex::encode(expected)));
        }
    }

    #[test]
    fn a_hash_takes_many_slices_and_has_the_format_of_werkzeug() {
        let (text, slices) = finish(FallbackHash::begin("tangerine").unwrap());
        assert_eq!(slices, ITERATIONS / SLICE);
        assert!(is_werkzeug(text.expose()) && text.expose().len() <= 200, "{}", text.expose());
        assert_eq!(classify(text.expose()).unwrap().name(), "werkzeug pbkdf2:sha256");
        let (other, _) = finish(FallbackHash::begin("tangerine").unwrap());
        assert_ne!(text.expose(), other.expose(), "the salt");
    }

    #[test]
    fn only_formats_of_werkzeug_need_no_other_hash() {
        for stored in ["pbkdf2:sha512:1000000$salt$00", "scrypt:32768:8:1$salt$00"] {
            assert!(is_werkzeug(stored));
        }
        for stored in ["pbkdf2_sha256$1$salt$00", "$argon2id$v=19$m=8,t=1,p=1$", "$authy-wrap$pbkdf2:sha1$", "!", ""] {
            assert!(!is_werkzeug(stored));
        }
    }
}
