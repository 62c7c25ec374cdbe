//! The revocation feed: which tokens are revoked, wherever that happened.
//!
//! This instance keeps all revocations in memory, where each check of a token looks. [`follow`](crate::engine::background::follow)
//! polls the database and hands on what it finds.

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
    claims::Token,
    engine::storage::{
        db::Db,
        fault::{self, Track},
    },
    revocation::{Clock, Cursor, Freshness, IdHash, Moment, Revocation, RevocationSet},
    time::now,
};

pub(in crate::engine) mod poll;
pub(in crate::engine) mod self_test;
pub(in crate::engine) mod snapshot;
pub(in crate::engine) mod sql;
pub(in crate::engine) mod target;

use poll::read;
use self_test::SelfTest;
use snapshot::{RevocationSnapshot, Snapshots};

/// The number of batches that a slow follower may be behind before it has to read from the database again.
const BACKLOG: usize = 256;

/// Maximum age of what is in memory to begin a stream with, instead of reading it from the database: a few polls.
const FRESH_ENOUGH: Duration = Duration::from_secs(1);

/// Revocations, and where the next ones begin.
#[derive(Clone, Debug)]
pub struct RevocationBatch {
    /// The revocations since the previous cursor. Some of them may have been sent before.
    pub revocations: Vec<Revocation>,
    /// Where the next batch begins.
    pub cursor: Cursor,
    /// The time as of which this batch and the earlier ones are complete, by the clock of the database, in milliseconds since
    /// 1970.
    pub as_of_ms: u64,
    encoded: OnceLock<Bytes>,
}

impl RevocationBatch {
    pub(in crate::engine) fn new(revocations: Vec<Revocation>, cursor: Cursor, as_of_ms: u64) -> Self {
        Self { revocations, cursor, as_of_ms, encoded: OnceLock::new() }
    }

    /// Returns what `encode` made of the batch when it was called first. All followers get the same batch, so it is encoded once
    /// and not once for each of them; a process therefore has one encoding.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.encoded.get_or_init(|| encode(self)).clone()
    }
}

/// The revocations that this instance knows: [`Authy::revocations`](crate::Authy::revocations).
pub struct RevocationFeed {
    db: Arc<Db>,
    max_staleness: Duration,
    set: RwLock<RevocationSet>,
    // What this instance revoked itself and the followers of its batches were not sent yet.
    unsent: Mutex<Vec<Revocation>>,
    clock: Clock,
    // As of when everything is known: when the last poll that succeeded was asked, by the clocks here. Its snapshot is younger,
    // and a clock of the database that differs from ours makes no difference.
    freshness: Freshness,
    batches: broadcast::Sender<Arc<RevocationBatch>>,
    snapshots: Snapshots,
    tested: watch::Sender<Option<SelfTest>>,
    written: Notify,
    notifying: AtomicBool,
}

/// The public handle.
impl RevocationFeed {
    /// Returns the revocations in force, or those since a cursor, from the database.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn read(&self, after: Option<&Cursor>) -> Result<RevocationPage> {
        let RevocationBatch { revocations, cursor, as_of_ms, .. } = read(&self.db, after).await?;
        Ok(RevocationPage { revocations, cursor, as_of_ms })
    }

    /// Returns the revocations in force, or those since a cursor, as the body of an answer: from memory, as of the last poll. It
    /// does not query the database, and serializes once per poll.
    ///
    /// Needs the [background work](crate::Authy::start_background).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the last poll that succeeded is older than
    /// [`Config::max_staleness`](crate::engine::Config::max_staleness).
    pub fn snapshot(&self, after: Option<&Cursor>) -> Result<RevocationSnapshot> {
        self.require_age(self.max_staleness)?;
        self.snapshots.snapshot(&self.set, after)
    }

    /// Returns a stream of the revocations in force, or those since a cursor, and then of every further one. It does not end.
    /// While this instance is up to date there is a batch at least every second; an empty one says that nothing is new.
    ///
    /// All followers share the batches, except the first one and those that they were too slow for.
    ///
    /// Needs the [background work](crate::Authy::start_background).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn follow(
        self: &Arc<Self>,
        after: Option<&Cursor>,
    ) -> Result<impl Stream<Item = Arc<RevocationBatch>> + Send + use<>> {
        // Subscribed before the first read: what is revoked in between is sent twice, and that does no harm.
        let live = self.subscribe();
        // A follower takes the beginning of its stream to be as new as its request.
        let begin = match self.require_age(FRESH_ENOUGH).and_then(|()| self.snapshots.since(&self.set, after)) {
            Ok(begin) => begin,
            Err(_) => read(&self.db, after).await?,
        };
        let begin = Arc::new(begin);
        let state = (self.clone(), live, begin.cursor);
        let rest = stream::unfold(state, |(feed, mut live, cursor)| async move {
            let batch = match live.recv().await {
                Ok(batch) => batch,
                // Too far behind: the database knows what was missed.
                Err(RecvError::Lagged(_)) => Arc::new(read(&feed.db, Some(&cursor)).await.ok()?),
                Err(RecvError::Closed) => return None,
            };
            let cursor = batch.cursor;
            Some((batch, (feed, live, cursor)))
        });
        Ok(stream::once(async { begin }).chain(rest))
    }

    /// Returns the result of the last self-test; `None` before the first one, and without
    /// [`Config::self_test`](crate::engine::Config::self_test).
    pub fn self_test(&self) -> Option<SelfTest> {
        *self.tested.borrow()
    }
}

/// What checks and writes use.
impl RevocationFeed {
    pub(in crate::engine) fn new(db: Arc<Db>, max_staleness: Duration) -> Self {
        Self {
            db,
            max_staleness,
            set: RwLock::default(),
            unsent: Mutex::default(),
            clock: Clock::new(),
            freshness: Freshness::new(),
            batches: broadcast::Sender::new(BACKLOG),
            snapshots: Snapshots::default(),
            tested: watch::Sender::new(None),
            written: Notify::new(),
            notifying: AtomicBool::new(false),
        }
    }

    /// Whether every revocation older than `max_staleness` is known here.
    pub(in crate::engine) fn is_current(&self) -> bool {
        self.is_younger(self.max_staleness)
    }

    /// Whether a token is revoked.
    pub(in crate::engine) fn revokes(&self, token: &Token) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).revokes(token)
    }

    /// Whether every token that a key signed is revoked.
    pub(in crate::engine) fn revokes_key(&self, kid: &str) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).revokes_key(kid)
    }

    /// Whether every token of a session is revoked.
    fn revokes_session(&self, session: &IdHash) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).revokes_session(session)
    }

    /// Takes in what this instance has just revoked itself, before anybody is answered.
    pub(in crate::engine) fn apply(&self, revocations: &[Revocation]) {
        let mut set = self.write_set();
        let news: Vec<_> = revocations.iter().filter(|revocation| set.insert(revocation)).cloned().collect();
        drop(set);
        self.snapshots.outdate();
        // The next poll sends only what it finds first.
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).extend(news);
    }

    /// Notifies the other instances, in the background. Many notifications at a time become one.
    pub(in crate::engine) fn notify_others(self: &Arc<Self>) {
        self.written.notify_one();
        if self.notifying.swap(true, Ordering::AcqRel) {
            return;
        }
        let feed = self.clone();
        tokio::spawn(fault::on(Track::Follow, async move {
            // Before, not after: what is committed from here on asks for a notification of its own.
            feed.notifying.store(false, Ordering::Release);
            if let Err(error) = feed.db.read(&sql::NOTIFY, &[]).await {
                tracing::debug!(%error, "the other instances will hear of a revocation by their next poll");
            }
        }));
    }

    fn require_age(&self, max_age: Duration) -> Result<()> {
        match self.is_younger(max_age) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Unavailable, "what is known of revocations is too old")
                .with_retry_after(Duration::from_secs(1))),
        }
    }

    fn is_younger(&self, max_age: Duration) -> bool {
        self.freshness.age(self.clock.now()).is_some_and(|age| age <= max_age)
    }

    fn write_set(&self) -> RwLockWriteGuard<'_, RevocationSet> {
        self.set.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the follower of the database uses.
impl RevocationFeed {
    /// The time to take before a poll, for [`confirm`](Self::confirm) after it.
    pub(in crate::engine) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Everything that was committed before that time is in force.
    pub(in crate::engine) fn confirm(&self, asked: Moment) {
        self.freshness.set(asked);
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
        let asked = self.clock.now();
        let found = read(&self.db, None).await?;
        let mut set = self.write_set();
        for revocation in &found.revocations {
            set.insert(revocation);
        }
        drop(set);
        self.snapshots.outdate();
        self.snapshots.polled(&found);
        self.freshness.set(asked);
        Ok(found.cursor)
    }

    /// Puts in force what a poll found. Returns the batch for the followers: what was new.
    pub(in crate::engine) fn take_in(&self, mut found: RevocationBatch) -> RevocationBatch {
        // One at a time: there may be a million, and every check of a token reads the set.
        found.revocations.retain(|revocation| self.write_set().insert(revocation));
        let has_forgotten = {
            let mut set = self.write_set();
            let before = set.len();
            set.forget_before(now());
            set.len() < before
        };
        if has_forgotten || !found.revocations.is_empty() {
            self.snapshots.outdate();
        }
        found.revocations.append(&mut self.unsent.lock().unwrap_or_else(PoisonError::into_inner));
        self.snapshots.polled(&found);
        found
    }

    /// Sends a batch to the followers.
    pub(in crate::engine) fn send(&self, batch: RevocationBatch) {
        // It fails when there is no follower.
        let _ = self.batches.send(Arc::new(batch));
    }
}

impl fmt::Debug for RevocationFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationFeed").field("is_current", &self.is_current()).finish_non_exhaustive()
    }
}
