//! What an instance knows about its database: how old its revocations are, where the database is in its history, and how
//! far the clocks differ.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::TimeDelta;

use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    RevocationBatch, RevocationFeed,
    committed::{CommittedWrites, missing},
};
use crate::{
    Result,
    revocation::{Cursor, IdHash, Revocation, RevokedTokens},
    time::from_unix_seconds,
};

/// The state of the database as an instance sees it, for metrics and health checks.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseStatus {
    /// The age of the known revocations; `None` before the first poll.
    pub staleness: Option<Duration>,
    /// The timeline of the database, which each failover and each restore of a base backup changes; `None` before the
    /// first poll.
    pub timeline: Option<u32>,
    /// How far the wall clock of this machine is ahead of the clock of the database; negative when it is behind, and
    /// zero when the time of a poll explains the difference. `None` before the first poll.
    pub clock_skew: Option<TimeDelta>,
    /// How often this instance has noticed, since its start, that the database has lost what was committed before:
    /// `authy-server recover` is the answer.
    pub lost_history: u64,
}

/// The history of the database, as far as this instance has noticed it.
#[derive(Default)]
pub(in crate::engine) struct History {
    latest: Mutex<Option<Cursor>>,
    lost: AtomicU64,
    // The lost revocations that were reported, and stay in force here.
    reported: Mutex<HashSet<RevokedTokens>>,
    committed: Mutex<CommittedWrites>,
}

impl History {
    pub(super) fn record(&self, cursor: &Cursor) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(*cursor);
    }

    /// Records that a write was committed, which has this event.
    pub(in crate::engine) fn note_commit(&self, event: Uuid) {
        self.lock_committed().push(Instant::now(), event);
    }

    fn lock_committed(&self) -> MutexGuard<'_, CommittedWrites> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records evidence that the database has lost what was committed before. Only the first one is logged as an error.
    pub(in crate::engine) fn report_loss(&self, evidence: &'static str) {
        match self.lost.fetch_add(1, Ordering::Relaxed) {
            0 => tracing::error!(
                evidence,
                "the database has gone back in time, by a failover to a standby that was behind or a restore: what was \
                 written since is lost, and tokens that were revoked since may be accepted again. Run `authy-server recover`"
            ),
            earlier => tracing::info!(evidence, earlier, "more evidence that the database has gone back in time"),
        }
    }
}

/// Revocations that were known before the database was read again.
pub(in crate::engine) struct KnownRevocations(Vec<Revocation>);

impl RevocationFeed {
    /// Returns the state of the database as this instance sees it. Does not query it.
    ///
    /// Needs the background work, which [`Builder::start`](crate::engine::Builder::start) starts.
    pub fn database_status(&self) -> DatabaseStatus {
        let now = self.clock.now();
        let latest = *self.history.latest.lock().unwrap_or_else(PoisonError::into_inner);
        DatabaseStatus {
            staleness: self.freshness.age(now),
            timeline: latest.map(|cursor| cursor.timeline),
            clock_skew: self.database_clock.skew(now),
            lost_history: self.history.lost.load(Ordering::Relaxed),
        }
    }

    /// Returns the known revocations, to be compared with those of the database by
    /// [`report_lost`](Self::report_lost).
    pub(in crate::engine) fn known(&self) -> KnownRevocations {
        KnownRevocations(self.set.read().unwrap_or_else(PoisonError::into_inner).iter().collect())
    }

    /// Reports the known revocations that a database does not contain whose revocations were all read since. They stay in
    /// force here until their tokens have expired.
    pub(in crate::engine) fn report_lost(&self, known: KnownRevocations, found: &RevocationBatch) {
        let lost = lost(known, found);
        // Each is reported once, although it is missed with every new connection until it expires.
        let mut reported = self.history.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = lost.iter().any(|tokens| !reported.contains(tokens));
        let number = lost.len();
        *reported = lost;
        drop(reported);
        if is_new {
            tracing::warn!(lost = number, cursor = %found.cursor, "revocations that are known here are not in the database any more");
            self.history.report_loss("revocations are missing");
        }
    }
}

/// The methods that look for committed writes.
impl RevocationFeed {
    /// Records that the database answered a poll that began at this time, on the connection of the poll before.
    pub(in crate::engine) fn settle_commits(&self, polled: Instant) {
        self.history.lock_committed().settle(polled);
    }

    /// Reports the latest writes of this instance that are not in the database that a new connection leads to. Each is reported
    /// once.
    pub(in crate::engine) async fn report_lost_commits(&self, client: &Client) -> Result<()> {
        let events = self.history.lock_committed().events(Instant::now());
        let lost = missing(&self.db, client, &events).await?;
        if !lost.is_empty() {
            self.history.lock_committed().remove(&lost);
            tracing::warn!(
                lost = lost.len(),
                of_the_latest = events.len(),
                "committed writes are not in the database any more"
            );
            self.history.report_loss("committed writes are missing");
        }
        Ok(())
    }
}

/// Returns the known revocations that were not found, although they have not expired.
fn lost(known: KnownRevocations, found: &RevocationBatch) -> HashSet<RevokedTokens> {
    // Those that expire while they are read are not found either.
    let soon = from_unix_seconds(found.as_of_ms / 1000) + Duration::from_secs(1);
    let others: HashSet<_> = found.revocations.iter().map(|revocation| &revocation.tokens).collect();
    let epochs: HashMap<_, _> = found.revocations.iter().filter_map(epoch).collect();
    let is_lost = |revocation: &&Revocation| match epoch(revocation) {
        Some((user, ver)) => epochs.get(&user).is_none_or(|found| *found < ver),
        None => !others.contains(&revocation.tokens),
    };
    let lost = known.0.iter().filter(|revocation| revocation.until > soon).filter(is_lost);
    lost.map(|revocation| revocation.tokens.clone()).collect()
}

fn epoch(revocation: &Revocation) -> Option<(IdHash, u64)> {
    match revocation.tokens {
        RevokedTokens::User { user, ver } => Some((user, ver)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SessionId, UserId};

    #[test]
    fn only_what_has_not_expired_and_is_not_found_is_lost() {
        let (user, other) = (IdHash::of_user(UserId::random()), IdHash::of_user(UserId::random()));
        let session = || RevokedTokens::Session { session: IdHash::of_session(SessionId::random()) };
        let (kept, gone) = (session(), session());
        let revocation =
            |tokens: &RevokedTokens, until| Revocation { tokens: tokens.clone(), until: from_unix_seconds(until) };
        let epoch = |user, ver| RevokedTokens::User { user, ver };
        let cursor = Cursor { cluster: 1, timeline: 2, xmin: 700 };
        let found = [revocation(&kept, 200), revocation(&epoch(user, 7), 150), revocation(&epoch(other, 2), 200)];
        let found = RevocationBatch::new(found.to_vec(), cursor, 100_000);
        let lost =
            |tokens: &RevokedTokens, until| lost(KnownRevocations(vec![revocation(tokens, until)]), &found).len();
        assert_eq!([lost(&kept, 200), lost(&epoch(user, 7), 200), lost(&epoch(user, 6), 200)], [0, 0, 0]);
        assert_eq!([lost(&gone, 200), lost(&epoch(user, 8), 200), lost(&epoch(other, 3), 102)], [1, 1, 1]);
        assert_eq!([lost(&gone, 101), lost(&epoch(user, 8), 90)], [0, 0]);
    }
}
