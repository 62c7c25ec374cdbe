//! What the guess limiter counts since the start of this instance.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub(super) struct GuessCounts {
    pub(super) throttled: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// The guesses at passwords since the start of this instance.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct GuessStatistics {
    /// The number of times that wrong passwords began to slow down the attempts at an account.
    pub throttled_accounts: u64,
    /// The number of passwords that were not verified, because too many wrong ones came before: at the account, or from
    /// the address.
    pub refused: u64,
}

impl GuessCounts {
    pub(super) fn snapshot(&self) -> GuessStatistics {
        GuessStatistics {
            throttled_accounts: self.throttled.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}
