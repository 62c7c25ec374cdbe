//! Follows what becomes void, wherever it was revoked, and hands it on.
//!
//! A poll is the guarantee: it reads again everything from the oldest transaction that was still running at the poll
//! before, so a transaction that commits late is never skipped, and what is read twice does no harm. NOTIFY only makes it
//! quicker.

use std::{
    collections::HashSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{Notify, broadcast},
    time::{sleep, timeout},
};
use tokio_postgres::{Row, Transaction, types::Type};
use uuid::Uuid;

use super::{
    db::{Db, bounded, db_error},
    fault::{self, Track},
    key::KeyRing,
};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    claims::Token,
    revocation::{Cursor, Revocation, RevocationSet, Void},
};

pub(super) mod sql;

/// How often the follower asks, come what may.
const POLL: Duration = Duration::from_millis(250);

/// How long the follower waits after an error.
const PAUSE: Duration = Duration::from_millis(500);

/// How long followers of ours may hear nothing when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How many batches a slow follower may be behind before it has to read from the database again.
const BACKLOG: usize = 256;

/// What became void, and where to go on.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What became void since; some of it may have been told before.
    pub revocations: Vec<Revocation>,
    /// Where the next batch begins.
    pub cursor: Cursor,
}

/// What is void, as this instance knows it.
pub(super) struct Feed {
    set: RwLock<RevocationSet>,
    begun: Instant,
    // Milliseconds since `begun` at which the last poll that succeeded was sent; 0 before the first.
    fresh: AtomicU64,
    batches: broadcast::Sender<Arc<Batch>>,
    hint: Notify,
    hinting: AtomicBool,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self {
            set: RwLock::default(),
            begun: Instant::now(),
            fresh: AtomicU64::new(0),
            batches: broadcast::Sender::new(BACKLOG),
            hint: Notify::new(),
            hinting: AtomicBool::new(false),
        }
    }

    /// Whether everything that was void so long ago is known here.
    pub(super) fn is_current(&self, max_staleness: Duration) -> bool {
        let fresh = self.fresh.load(Ordering::Acquire);
        fresh > 0 && self.begun.elapsed().saturating_sub(Duration::from_millis(fresh)) <= max_staleness
    }

    /// Whether a token is void.
    pub(super) fn voids(&self, token: &Token) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).voids(token)
    }

    /// Takes in what this instance has just revoked itself, before it says so to anybody.
    pub(super) fn apply(&self, revocations: &[Revocation]) {
        if revocations.is_empty() {
            return;
        }
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        revocations.iter().for_each(|revocation| set.insert(revocation));
    }

    /// Tells the other instances, in the background. Many hints at a time become one.
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
        let asked = self.begun.elapsed();
        let batch = read(db, None).await?;
        self.apply(&batch.revocations);
        self.freshen(asked);
        Ok(batch.cursor)
    }

    fn freshen(&self, asked: Duration) {
        self.fresh.store(u64::try_from(asked.as_millis()).unwrap_or(u64::MAX).max(1), Ordering::Release);
    }

    /// Follows for ever, from a cursor on.
    pub(super) async fn follow(&self, db: &Db, ring: &KeyRing, cursor: Cursor) {
        let mut follower = Follower { cursor, told: HashSet::new(), spoke: Instant::now(), keys_changed: None };
        loop {
            if let Err(error) = self.follow_connection(db, ring, &mut follower).await {
                tracing::warn!(%error, "cannot follow revocations: trying again");
            }
            sleep(PAUSE).await;
        }
    }

    async fn follow_connection(&self, db: &Db, ring: &KeyRing, follower: &mut Follower) -> Result<()> {
        let (client, heard) = db.listen("authy_revocation").await?;
        loop {
            let asked = self.begun.elapsed();
            let xmin = follower.cursor.xmin.to_string();
            let rows = bounded(async { client.query_typed(sql::POLL.sql, &[(&xmin, Type::TEXT)]).await }).await?;
            let (keys_changed, batch) = follower.take(&rows)?;
            if keys_changed {
                ring.reload(db).await?;
            }
            self.apply(&batch.revocations);
            self.freshen(asked);
            self.set.write().unwrap_or_else(PoisonError::into_inner).forget_before(Timestamp::now());
            if !batch.revocations.is_empty() || follower.spoke.elapsed() >= HEARTBEAT {
                follower.spoke = Instant::now();
                // Nobody listens: nobody is told.
                let _ = self.batches.send(Arc::new(batch));
            }
            let hint = async {
                tokio::select! { () = heard.notified() => {}, () = self.hint.notified() => {} }
            };
            let _ = timeout(POLL, hint).await;
        }
    }
}

/// How far the follower is.
struct Follower {
    cursor: Cursor,
    // What the last poll found: while a transaction runs for long, each poll finds what committed since once more.
    told: HashSet<i64>,
    spoke: Instant,
    keys_changed: Option<SystemTime>,
}

impl Follower {
    /// Takes in a poll: whether the keys changed, and what is new.
    fn take(&mut self, rows: &[Row]) -> Result<(bool, Batch)> {
        let first = first(rows)?;
        let mut cursor = cursor(first)?;
        if cursor.is_elsewhere(&self.cursor) {
            cursor.xmin = 0;
        }
        let keys_changed: Option<SystemTime> = first.get("keys_changed");
        let new = rows.iter().filter(|row| id(row).is_some_and(|id| !self.told.contains(&id)));
        let batch = Batch { revocations: new.filter_map(revocation).collect(), cursor };
        self.told = rows.iter().filter_map(id).collect();
        self.cursor = cursor;
        let changed = self.keys_changed != keys_changed;
        self.keys_changed = keys_changed;
        Ok((changed, batch))
    }
}

/// Everything that is void now and was not at the cursor.
pub(super) async fn read(db: &Db, after: Option<&Cursor>) -> Result<Batch> {
    let xmin = after.map_or(0, |cursor| cursor.xmin).to_string();
    let found = batch(&db.read(&sql::POLL, &[&xmin]).await?)?;
    match after {
        Some(cursor) if found.cursor.is_elsewhere(cursor) => batch(&db.read(&sql::POLL, &[&"0"]).await?),
        _ => Ok(found),
    }
}

fn batch(rows: &[Row]) -> Result<Batch> {
    Ok(Batch { revocations: rows.iter().filter_map(revocation).collect(), cursor: cursor(first(rows)?)? })
}

fn first(rows: &[Row]) -> Result<&Row> {
    rows.first().ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))
}

fn cursor(row: &Row) -> Result<Cursor> {
    let number = |column| {
        let number = row.get::<_, &str>(column).parse();
        number.map_err(|cause| Error::with_source(ErrorKind::Internal, "a transaction has no number", cause))
    };
    Ok(Cursor { cluster: number("cluster")?, xmin: number("cursor")? })
}

fn id(row: &Row) -> Option<i64> {
    row.get("revocation_id")
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
    Some(Revocation { void, until })
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
            revoked.push(Revocation { void, until: row.get::<_, SystemTime>("until").into() });
        }
    }
    Ok(revoked)
}

/// Deletes what does not matter any more.
pub(super) async fn forget(tx: &Transaction<'_>) -> Result<u64> {
    sql::FORGET.execute(tx, &[]).await.map_err(db_error)
}
