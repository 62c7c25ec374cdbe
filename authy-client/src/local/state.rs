//! What a verifier knows, shared between its clones and its follower.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use authy_core::{
    claims::Token,
    revocation::{Clock, Cursor, Freshness, Revocation, RevocationSet},
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
    pub(super) max_staleness: Duration,
    pub(super) when_stale: WhenStale,
}

impl VerifierState {
    pub(super) fn staleness(&self) -> Option<Duration> {
        self.freshness.age(self.clock.now())
    }

    pub(super) fn is_current(&self) -> bool {
        self.staleness().is_some_and(|staleness| staleness <= self.max_staleness)
    }

    pub(super) fn apply(&self, revocations: &[Revocation]) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        for revocation in revocations {
            set.insert(revocation);
        }
        set.forget_before(time::now());
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
