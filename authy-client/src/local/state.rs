//! What a verifier knows, shared between its clones and its follower.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use authy_core::{
    Error, ErrorKind,
    claims::{Token, is_refused_for_time},
    revocation::{Clock, Cursor, Freshness, Revocation, RevocationSet, ServerClock},
    time,
    token_cache::TokenCache,
};

use super::{keys::VerificationKeys, snapshot_file::SavedSnapshot};
use crate::Client;

/// What a verifier does when it has not heard from the server for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenStale {
    /// It answers [`ErrorKind::Unavailable`](authy_core::ErrorKind::Unavailable): a token may have been revoked
    /// meanwhile.
    #[default]
    Refuse,
    /// It asks the server about each token, and answers what the server answers.
    AskServer,
}

/// Keys, revocations, and their age.
pub(super) struct VerifierState {
    pub(super) client: Client,
    pub(super) keys: VerificationKeys,
    pub(super) cache: TokenCache,
    pub(super) set: RwLock<RevocationSet>,
    pub(super) clock: Clock,
    /// The time of the last snapshot of revocations that arrived.
    pub(super) freshness: Freshness,
    pub(super) server_clock: ServerClock,
    pub(super) max_staleness: Duration,
    pub(super) when_stale: WhenStale,
}

impl VerifierState {
    pub(super) fn staleness(&self) -> Option<Duration> {
        self.freshness.age(self.clock.now())
    }

    pub(super) fn is_current(&self) -> bool {
        let now = self.clock.now();
        self.freshness.age(now).is_some_and(|age| age <= self.max_staleness) && !self.freshness.was_set_back(now)
    }

    /// Adds revocations.
    pub(super) fn apply(&self, revocations: &[Revocation]) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        for revocation in revocations {
            set.insert(revocation);
        }
    }

    /// Removes the revocations whose tokens have all expired, both by the clock of this machine and by that of the
    /// server: one that jumps ahead, and back again, must not bring a revoked token back.
    pub(super) fn forget(&self, as_of_ms: u64) {
        let expired = time::now().min(time::from_unix_seconds(as_of_ms / 1000));
        self.set.write().unwrap_or_else(PoisonError::into_inner).forget_before(expired);
    }

    /// Returns the error of a token that was refused: when it was refused for its times and the clock of this machine is
    /// wrong, it is not known whether the token is valid.
    pub(super) fn explain(&self, refused: Error) -> Error {
        match is_refused_for_time(&refused) && !self.server_clock.is_right(self.clock.now()) {
            true => Error::new(ErrorKind::Unavailable, "the clock of this machine differs too much from the server's"),
            false => refused,
        }
    }

    /// Returns whether a token has been revoked.
    pub(super) fn revokes(&self, token: &Token) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).revokes(token)
    }

    /// Returns what is kept in a file.
    pub(super) fn to_saved(&self, cursor: Cursor) -> SavedSnapshot {
        let revocations = self.set.read().unwrap_or_else(PoisonError::into_inner).iter().collect();
        let age = self.staleness().unwrap_or(Duration::MAX);
        SavedSnapshot::new(self.keys.published(), self.keys.longest_lifetime(), revocations, cursor, age)
    }
}
