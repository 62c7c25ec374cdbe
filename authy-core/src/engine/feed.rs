//! What is void, wherever it was revoked: read, followed, and handed on.
//!
//! A poll is the guarantee: it reads again everything from the oldest transaction that was still running at the poll
//! before, so a transaction that commits late is never skipped, and what is read twice does no harm. NOTIFY only makes it
//! quicker.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::sync::{Notify, broadcast, watch};
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::{
    db::{Db, db_error},
    fault::{self, Track},
};
use crate::{
    Error, ErrorKind, Result,
    claims::Token,
    revocation::{Clock, Cursor, Freshness, IdHash, Revocation, RevocationSet},
};

mod follow;
mod self_test;
mod snapshot;
pub(super) mod sql;
mod void;

pub use self_test::{SelfTest, SelfTestFailure};
pub use snapshot::RevocationSnapshot;
use snapshot::Snapshots;
pub(super) use void::Void;

/// How many batches a slow follower may be behind before it has to read from the database again.
const BACKLOG: usize = 256;

/// What became void, and where to go on.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What became void since the previous cursor; some of it may have been sent before.
    pub revocations: Vec<Revocation>,
    /// Where the next batch begins.
    pub cursor: Cursor,
    /// The time as of which this batch and the earlier ones are complete, by the clock of the database, in milliseconds since
    /// 1970.
    pub as_of_ms: u64,
    encoded: OnceLock<Bytes>,
}

impl Batch {
    pub(super) fn new(revocations: Vec<Revocation>, cursor: Cursor, as_of_ms: u64) -> Self {
        Self { revocations, cursor, as_of_ms, encoded: OnceLock::new() }
    }

    /// Returns what `encode` made of the batch when it was called first. All followers get the same batch, so it is encoded once
    /// and not once for each of them; a process therefore has one encoding.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.encoded.get_or_init(|| encode(self)).clone()
    }
}

/// What is void, as this instance knows it.
pub(super) struct Feed {
    set: RwLock<RevocationSet>,
    // What this instance revoked itself and the followers of its batches were not sent yet.
    unsent: Mutex<Vec<Revocation>>,
    clock: Clock,
    // As of when everything is known: when the last poll that succeeded was asked, by the clocks here. Its snapshot is younger,
    // and a clock of the database that differs from ours makes no difference.
    freshness: Freshness,
    batches: broadcast::Sender<Arc<Batch>>,
    snapshots: Snapshots,
    tested: watch::Sender<Option<SelfTest>>,
    hint: Notify,
    hinting: AtomicBool,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self {
            set: RwLock::default(),
            unsent: Mutex::default(),
            clock: Clock::new(),
            freshness: Freshness::new(),
            batches: broadcast::Sender::new(BACKLOG),
            snapshots: Snapshots::default(),
            tested: watch::Sender::new(None),
            hint: Notify::new(),
            hinting: AtomicBool::new(false),
        }
    }

    /// Whether everything that was void so long ago is known here.
    pub(super) fn is_current(&self, max_staleness: Duration) -> bool {
        self.freshness.age(self.clock.now()).is_some_and(|age| age <= max_staleness)
    }

    /// Whether a token is void.
    pub(super) fn voids(&self, token: &Token) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).voids(token)
    }

    /// Whether everything of a session is void.
    fn voids_session(&self, session: &IdHash) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).voids_session(session)
    }

    /// What the last self-test found.
    pub(super) fn tested(&self) -> Option<SelfTest> {
        *self.tested.borrow()
    }

    /// Whether everything that a key signed is void.
    pub(super) fn voids_key(&self, kid: &str) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).voids_key(kid)
    }

    /// Takes in what this instance has just revoked itself, before it says so to anybody.
    pub(super) fn apply(&self, revocations: &[Revocation]) {
        if revocations.is_empty() {
            return;
        }
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        let news: Vec<_> = revocations.iter().filter(|revocation| set.insert(revocation)).cloned().collect();
        drop(set);
        self.snapshots.outdate();
        // The next poll sends only what it finds first.
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).extend(news);
    }

    /// What is void now, or since a cursor, from memory: as of the last poll, and at most so old.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when what is known is older.
    pub(super) fn since(&self, after: Option<&Cursor>, max_age: Duration) -> Result<Batch> {
        self.require_current(max_age)?;
        self.snapshots.since(&self.set, after)
    }

    /// The same as the body of an answer.
    ///
    /// # Errors
    /// As [`since`](Self::since).
    pub(super) fn snapshot(&self, after: Option<&Cursor>, max_age: Duration) -> Result<RevocationSnapshot> {
        self.require_current(max_age)?;
        self.snapshots.snapshot(&self.set, after)
    }

    fn require_current(&self, max_age: Duration) -> Result<()> {
        match self.is_current(max_age) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Unavailable, "what is known of revocations is too old")
                .retry_after(Duration::from_secs(1))),
        }
    }

    /// Notifies the other instances, in the background. Many hints at a time become one.
    pub(super) fn hint(self: &Arc<Self>, db: &Arc<Db>) {
        self.hint.notify_one();
        if self.hinting.swap(true, Ordering::AcqRel) {
            return;
        }
        let (feed, db) = (self.clone(), db.clone());
        tokio::spawn(fault::on(Track::Follow, async move {
            // Before, not after: what is committed from here on asks for a hint of its own.
            feed.hinting.store(false, Ordering::Release);
            if let Err(error) = db.read(&sql::HINT, &[]).await {
                tracing::debug!(%error, "the other instances will hear of a revocation by their next poll");
            }
        }));
    }

    /// What becomes void from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Batch>> {
        self.batches.subscribe()
    }

    /// Reads what is void now, once: from then on the feed is current.
    pub(super) async fn prime(&self, db: &Db) -> Result<Cursor> {
        let asked = self.clock.now();
        let found = read(db, None).await?;
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        for revocation in &found.revocations {
            set.insert(revocation);
        }
        drop(set);
        self.snapshots.outdate();
        self.snapshots.polled(&found);
        self.freshness.set(asked);
        Ok(found.cursor)
    }
}

/// Everything that is void now and was not at the cursor, many rows of one user as one.
pub(super) async fn read(db: &Db, after: Option<&Cursor>) -> Result<Batch> {
    let xmin = after.map_or(0, |cursor| cursor.xmin).to_string();
    let mut found = batch(&db.read(&sql::POLL, &[&xmin]).await?);
    if let (Ok(batch), Some(cursor)) = (&found, after)
        && batch.cursor.is_elsewhere(cursor)
    {
        found = self::batch(&db.read(&sql::POLL, &[&"0"]).await?);
    }
    if found.as_ref().is_err_and(Error::is_unavailable) {
        db.leave_connections();
    }
    found
}

/// What a poll found.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when a standby answered: it may be far behind, and says nothing about that.
fn batch(rows: &[Row]) -> Result<Batch> {
    let first = rows.first().ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))?;
    let number = |column, radix| {
        let number = u64::from_str_radix(first.get::<_, &str>(column), radix);
        number.map_err(|cause| Error::with_source(ErrorKind::Internal, "a transaction has no number", cause))
    };
    if first.get::<_, Option<&str>>("timeline").is_none() {
        return Err(Error::new(ErrorKind::Unavailable, "the database is a standby"));
    }
    let timeline = u32::try_from(number("timeline", 16)?).unwrap_or_default();
    let cursor = Cursor { cluster: number("cluster", 10)?, timeline, xmin: number("cursor", 10)? };
    let mut revoked = RevocationSet::new();
    for revocation in rows.iter().filter_map(revocation) {
        revoked.insert(&revocation);
    }
    let as_of_ms = first.get::<_, i64>("as_of_ms").unsigned_abs();
    Ok(Batch::new(revoked.iter().collect(), cursor, as_of_ms))
}

fn revocation(row: &Row) -> Option<Revocation> {
    let until = row.get::<_, Option<SystemTime>>("until")?.into();
    let (session, user, kid): (Option<Uuid>, Option<Uuid>, Option<String>) =
        (row.get("session_id"), row.get("user_id"), row.get("kid"));
    let void = match (session, user, kid) {
        (Some(session), _, _) => Void::Session { session_id: session.into() },
        (_, Some(user), _) => {
            Void::User { public_id: user.into(), ver: row.get::<_, Option<i64>>("ver")?.unsigned_abs() }
        }
        (_, _, kid) => Void::Key { kid: kid? },
    };
    Some(Revocation { void: void.into(), until })
}

/// Writes what a transaction makes void; what of it matters to anybody, because a token that it is about still lives.
pub(super) async fn revoke(tx: &Transaction<'_>, void: Vec<Void>) -> Result<Vec<Revocation>> {
    let mut revoked = Vec::with_capacity(void.len());
    for void in void {
        let row = match &void {
            Void::Session { session_id } => sql::REVOKE_SESSION.row(tx, &[session_id.as_uuid()]).await?,
            Void::User { public_id, ver } => {
                sql::REVOKE_USER.row(tx, &[public_id.as_uuid(), &ver.cast_signed()]).await?
            }
            Void::Key { kid } => sql::REVOKE_KEY.row(tx, &[kid]).await?,
        };
        if let Some(row) = row {
            revoked.push(Revocation { void: void.into(), until: row.get::<_, SystemTime>("until").into() });
        }
    }
    Ok(revoked)
}

/// Deletes what does not matter any more.
pub(super) async fn forget(tx: &Transaction<'_>) -> Result<u64> {
    sql::FORGET.execute(tx, &[]).await.map_err(db_error)
}
