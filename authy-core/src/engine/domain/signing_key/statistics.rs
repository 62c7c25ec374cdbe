//! How many signing keys there are.

use super::{SigningKeys, rotation::KeyState};

/// The number of signing keys with an algorithm and in a state. A key that cannot be decrypted or parsed does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatistics {
    /// The state. Never [`KeyState::Retired`]: those keys are not loaded.
    pub state: KeyState,
    /// `EdDSA`, `ES256` or `RS256`.
    pub algorithm: String,
    /// The number of keys.
    pub count: usize,
}

impl KeyStatistics {
    /// Adds a key to the counts.
    pub(super) fn add(counts: &mut Vec<Self>, state: KeyState, algorithm: &str) {
        match counts.iter_mut().find(|count| count.state == state && count.algorithm == algorithm) {
            Some(known) => known.count += 1,
            None => counts.push(Self { state, algorithm: algorithm.to_owned(), count: 1 }),
        }
    }
}

impl SigningKeys {
    /// Returns the number of keys as of the last load, which follows every change.
    pub(in crate::engine) fn statistics(&self) -> Vec<KeyStatistics> {
        self.current.load().counts.clone()
    }
}
