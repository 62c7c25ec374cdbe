//! The revocation feed: the revoked tokens, from this instance and all others.
//!
//! This instance keeps all revocations in memory, for token checks. [`follow`](crate::engine::background::follow) polls
//! the database and passes on what it finds.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::{
    Notify,
    broadcast::{self, error::RecvError},
    watch,
};

use crate::{
    Error, ErrorKind, Result,
    api::session::RevocationPage,
    claims::{Token, is_refused_for_time},
    engine::storage::{
        db::Db,
        fault::{self, Track},
    },
    revocation::{Clock, Cursor, Freshness, IdHash, Moment, Revocation, RevocationSet, ServerClock},
    time::{from_unix_seconds, now},
};

mod committed;
pub(in crate::engine) mod poll;
pub(in crate::engine) mod self_test;
pub(in crate::engine) mod snapshot;
pub(in crate::engine) mod sql;
pub(in crate::engine) mod status;
pub(in crate::engine) mod target;

use poll::{read, read_all};
use self_test::SelfTest;
use snapshot::{RevocationSnapshot, Snapshots};
use status::History;

/// Number of batches that a follower may be behind. A slower one has to read from the database again.
const MAX_BATCHES_BEHIND: usize = 256;

/// Maximum age of the data in memory for the start of a stream, which otherwise comes from the database: a few polls.
const MAX_STREAM_START_AGE: Duration = Duration::from_secs(1);

/// Revocations, and the position of the next ones.
#[derive(Clone, Debug)]
pub struct RevocationBatch {
    /// The revocations since the previous cursor. Some may have been sent before.
    pub revocations: Vec<Revocation>,
    /// The start of the next batch.
    pub cursor: Cursor,
    /// The time as of which this batch and the earlier ones are complete, by the clock of the database, in milliseconds
    /// since 1970.
    pub as_of_ms: u64,
    encoded: OnceLock<Bytes>,
}

impl RevocationBatch {
    pub(in crate::engine) fn new(revocations: Vec<Revocation>, cursor: Cursor, as_of_ms: u64) -> Self {
        Self { revocations, cursor, as_of_ms, encoded: OnceLock::new() }
    }

    /// Returns the result of the first call of `encode` for this batch. All followers get the same batch, so it is
    /// encoded only once; a process must use one encoding.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.encoded.get_or_init(|| encode(self)).clone()
    }
}

/// The revocations that this instance knows: [`Authy::revocations`](crate::Authy::revocations).
///
/// ```
/// use authy_core::{Authy, Result};
/// use futures_util::StreamExt;
///
/// # async fn revocations(authy: &Authy) -> Result<()> {
/// // All that are in force, and then every further one.
/// let mut batches = std::pin::pin!(authy.revocations().follow(None).await?);
/// while let Some(batch) = batches.next().await {
///     println!("{} revocations, complete as of {} ms", batch.revocations.len(), batch.as_of_ms);
/// }
/// # Ok(())
/// # }
/// ```
pub struct RevocationFeed {
    db: Arc<Db>,
    max_staleness: Duration,
    set: RwLock<RevocationSet>,
    // Revocations of this instance that have not been sent to the followers.
    unsent: Mutex<Vec<Revocation>>,
    clock: Clock,
    // The time as of which all revocations are known: the start of the last successful poll, by the clocks of this
    // machine. The snapshot of the poll is newer, and the clock of the database makes no difference.
    freshness: Freshness,
    database_clock: ServerClock,
    pub(in crate::engine) history: History,
    batches: broadcast::Sender<Arc<RevocationBatch>>,
    snapshots: Snapshots,
    tested: watch::Sender<Option<SelfTest>>,
    written: Notify,
    notifying: AtomicBool,
}

/// The public methods.
impl RevocationFeed {
    /// Returns the revocations in force, or those since a cursor, from the database.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn read(&self, after: Option<&Cursor>) -> Result<RevocationPage> {
        let RevocationBatch { revocations, cursor, as_of_ms, .. } = read(&self.db, after).await?;
        Ok(RevocationPage { revocations, cursor, as_of_ms })
    }

    /// Returns the revocations in force, or those since a cursor, as a response body: from memory, as of the last poll.
    /// Does not query the database, and serializes only once per poll.
    ///
    /// Needs the background work, which [`Builder::start`](crate::engine::Builder::start) starts.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the last successful poll is older than
    /// [`Config::max_staleness`](crate::engine::Config::max_staleness).
    pub fn snapshot(&self, after: Option<&Cursor>) -> Result<RevocationSnapshot> {
        self.require_age(self.max_staleness)?;
        self.snapshots.snapshot(&self.set, after)
    }

    /// Returns a stream of the revocations in force, or those since a cursor, and then of all further ones. The stream
    /// does not end. While this instance is up to date, it yields a batch at least once per second; an empty batch
    /// means that nothing is new.
    ///
    /// All followers share the batches, except the first batch and those of followers that were too slow.
    ///
    /// Needs the background work, which [`Builder::start`](crate::engine::Builder::start) starts.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn follow(
        self: &Arc<Self>,
        after: Option<&Cursor>,
    ) -> Result<impl Stream<Item = Arc<RevocationBatch>> + Send + use<>> {
        // Subscribed before the first read: revocations in between are sent twice, which is harmless.
        let live = self.subscribe();
        // A follower assumes that the start of its stream is as new as its request.
        let begin = match self.require_age(MAX_STREAM_START_AGE).and_then(|()| self.snapshots.since(&self.set, after)) {
            Ok(begin) => begin,
            Err(_) => read(&self.db, after).await?,
        };
        let begin = Arc::new(begin);
        let state = (self.clone(), live, begin.cursor);
        let rest = stream::unfold(state, |(feed, mut live, cursor)| async move {
            let batch = match live.recv().await {
                Ok(batch) => batch,
                // Too far behind: the missed batches are read from the database.
                Err(RecvError::Lagged(_)) => Arc::new(read(&feed.db, Some(&cursor)).await.ok()?),
                Err(RecvError::Closed) => return None,
            };
            let cursor = batch.cursor;
            Some((batch, (feed, live, cursor)))
        });
        Ok(stream::once(async { begin }).chain(rest))
    }

    /// Returns whether every revocation is known here that is older than
    /// [`Config::max_staleness`](crate::engine::Config::max_staleness). Otherwise each token check queries the database.
    pub fn is_current(&self) -> bool {
        self.is_current_at(self.clock.now())
    }

    /// As [`is_current`](Self::is_current), for a caller who has just read the clocks.
    pub(in crate::engine) fn is_current_at(&self, now: Moment) -> bool {
        self.is_younger(self.max_staleness, now)
    }

    /// Returns the result of the last self-test; `None` before the first one, and without
    /// [`Config::self_test`](crate::engine::Config::self_test).
    pub fn self_test(&self) -> Option<SelfTest> {
        *self.tested.borrow()
    }
}

/// The methods for checks and writes.
impl RevocationFeed {
    pub(in crate::engine) fn new(db: Arc<Db>, max_staleness: Duration) -> Self {
        Self {
            db,
            max_staleness,
            set: RwLock::default(),
            unsent: Mutex::default(),
            clock: Clock::new(),
            freshness: Freshness::new(),
            database_clock: ServerClock::new(),
            history: History::default(),
            batches: broadcast::Sender::new(MAX_BATCHES_BEHIND),
            snapshots: Snapshots::default(),
            tested: watch::Sender::new(None),
            written: Notify::new(),
            notifying: AtomicBool::new(false),
        }
    }

    /// Checks that tokens may be signed: the clock of this machine is about that of the database, as of the last poll
    /// and by the monotonic clock since. A token with a wrong time would outlive its revocation. Without the background
    /// work, nothing is known and nothing refused.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`].
    pub(in crate::engine) fn require_right_clock(&self) -> Result<()> {
        match self.database_clock.is_right(self.clock.now()) {
            true => Ok(()),
            false => Err(wrong_clock()),
        }
    }

    /// Returns the error of a token that was refused: when it was refused for its times and the clock of this machine
    /// is wrong, it is not known whether the token is valid.
    pub(in crate::engine) fn explain(&self, refused: Error) -> Error {
        match is_refused_for_time(&refused) && self.require_right_clock().is_err() {
            true => wrong_clock(),
            false => refused,
        }
    }

    /// Returns the age of the known revocations; `None` before the first snapshot.
    pub(in crate::engine) fn age(&self) -> Option<Duration> {
        self.freshness.age(self.clock.now())
    }

    /// Returns the number of revocations in force.
    pub(in crate::engine) fn count(&self) -> usize {
        self.set.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns whether a token is revoked.
    pub(in crate::engine) fn revokes(&self, token: &Token) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).revokes(token)
    }

    /// Returns whether all tokens that a key signed are revoked.
    pub(in crate::engine) fn revokes_key(&self, kid: &str) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).revokes_key(kid)
    }

    /// Returns whether all tokens of a session are revoked.
    fn revokes_session(&self, session: &IdHash) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).revokes_session(session)
    }

    /// Applies revocations of this instance, before their caller gets a response.
    pub(in crate::engine) fn apply(&self, revocations: &[Revocation]) {
        let mut set = self.write_set();
        let news: Vec<_> = revocations.iter().filter(|revocation| set.insert(revocation)).cloned().collect();
        drop(set);
        self.snapshots.outdate();
        // The next poll sends only revocations that are new to it.
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).extend(news);
    }

    /// Notifies the other instances, in the background. Concurrent notifications are merged into one.
    pub(in crate::engine) fn notify_others(self: &Arc<Self>) {
        self.written.notify_one();
        if self.notifying.swap(true, Ordering::AcqRel) {
            return;
        }
        let feed = self.clone();
        tokio::spawn(fault::on(Track::Follow, async move {
            // Before the notification: a later commit has to cause another one.
            feed.notifying.store(false, Ordering::Release);
            if let Err(error) = feed.db.read(&sql::NOTIFY, &[]).await {
                tracing::debug!(%error, "the other instances were not notified of a revocation: they find it with their next poll");
            }
        }));
    }

    fn require_age(&self, max_age: Duration) -> Result<()> {
        match self.is_younger(max_age, self.clock.now()) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Unavailable, "the known revocations are too old")
                .with_retry_after(Duration::from_secs(1))),
        }
    }

    fn is_younger(&self, max_age: Duration, now: Moment) -> bool {
        let is_younger = self.freshness.age(now).is_some_and(|age| age <= max_age);
        is_younger && !self.freshness.was_set_back(now)
    }

    fn write_set(&self) -> RwLockWriteGuard<'_, RevocationSet> {
        self.set.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The methods for the follower of the database.
impl RevocationFeed {
    /// Returns the time: before a poll, to be passed to [`confirm`](Self::confirm) after it.
    pub(in crate::engine) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Records what the clock of the database showed during a poll that was requested at this moment.
    ///
    /// Returns whether all revocations have to be read again, because a clock was set back.
    pub(in crate::engine) fn compare_clocks(&self, as_of_ms: u64, requested: Moment) -> bool {
        self.database_clock.record(as_of_ms, requested, self.clock.now())
    }

    /// Records that all revocations committed before this time are in force.
    pub(in crate::engine) fn confirm(&self, requested: Moment) {
        self.freshness.set(requested);
    }

    /// Waits until this instance writes a revocation.
    pub(in crate::engine) async fn written(&self) {
        self.written.notified().await;
    }

    /// Returns the batches from now on.
    pub(in crate::engine) fn subscribe(&self) -> broadcast::Receiver<Arc<RevocationBatch>> {
        self.batches.subscribe()
    }

    /// Reads all revocations once. From then on the feed is current.
    pub(in crate::engine) async fn prime(&self) -> Result<Cursor> {
        let requested = self.clock.now();
        let found = read_all(&self.db).await?;
        let mut set = self.write_set();
        for revocation in &found.revocations {
            set.insert(revocation);
        }
        drop(set);
        self.snapshots.outdate();
        self.snapshots.polled(&found);
        self.compare_clocks(found.as_of_ms, requested);
        self.history.record(&found.cursor);
        self.freshness.set(requested);
        Ok(found.cursor)
    }

    /// Applies the result of a poll. Returns the batch for the followers, with the new revocations.
    pub(in crate::engine) fn take_in(&self, mut found: RevocationBatch) -> RevocationBatch {
        // One at a time, because there may be a million, and every token check reads the set.
        found.revocations.retain(|revocation| self.write_set().insert(revocation));
        let has_forgotten = {
            let mut set = self.write_set();
            let before = set.len();
            // By the clock that is behind: one that jumps ahead, and back again, must not bring a revoked token back.
            set.forget_before(now().min(from_unix_seconds(found.as_of_ms / 1000)));
            set.len() < before
        };
        if has_forgotten || !found.revocations.is_empty() {
            self.snapshots.outdate();
        }
        found.revocations.append(&mut self.unsent.lock().unwrap_or_else(PoisonError::into_inner));
        self.snapshots.polled(&found);
        self.history.record(&found.cursor);
        found
    }

    /// Sends a batch to the followers.
    pub(in crate::engine) fn send(&self, batch: RevocationBatch) {
        // Fails when there are no followers.
        let _ = self.batches.send(Arc::new(batch));
    }
}

fn wrong_clock() -> Error {
    Error::new(ErrorKind::Unavailable, "the clock of the server differs too much from that of the database")
        .with_retry_after(Duration::from_secs(1))
}

impl fmt::Debug for RevocationFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationFeed").field("is_current", &self.is_current()).finish_non_exhaustive()
    }
}
