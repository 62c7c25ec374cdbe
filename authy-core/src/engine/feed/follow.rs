//! Follows what becomes void in the database, and hands it on.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::time::{sleep, timeout};
use tokio_postgres::types::Type;

use super::{Batch, Feed, batch, sql};
use crate::{
    Result, Timestamp,
    engine::{
        db::{Db, PATIENCE, bounded_by},
        key::KeyRing,
    },
    revocation::Cursor,
};

/// How often the follower asks, come what may.
const POLL: Duration = Duration::from_millis(250);

/// How long the follower waits after an error.
const PAUSE: Duration = Duration::from_millis(500);

/// How long followers of ours may hear nothing when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long reading all that is live may take: of a million rows, some seconds.
const READING: Duration = Duration::from_secs(30);

/// How far the follower is. It moves only after everything that a poll found is in force.
struct Follower {
    cursor: Cursor,
    sent: Instant,
    keys: KeysSeen,
}

/// When the keys last changed, and the longest life of a token: when either differs, the keys are read again.
type KeysSeen = (Option<SystemTime>, Option<i64>);

impl Feed {
    /// Follows for ever, from a cursor on.
    pub(in crate::engine) async fn follow(&self, db: &Db, ring: &KeyRing, cursor: Cursor) {
        let mut follower = Follower { cursor, sent: Instant::now(), keys: (None, None) };
        loop {
            if let Err(error) = self.follow_connection(db, ring, &mut follower).await {
                tracing::warn!(%error, "cannot follow revocations: trying again");
            }
            sleep(PAUSE).await;
        }
    }

    async fn follow_connection(&self, db: &Db, ring: &KeyRing, follower: &mut Follower) -> Result<()> {
        let (client, heard) = db.listen("authy_revocation").await?;
        // A new connection may lead to another server, which gives out again the transaction ids that the one before gave
        // out and lost. Everything that is still void is read once more: what is known already is not sent again.
        let mut xmin = 0;
        loop {
            let asked = self.clock.now();
            let after = xmin.to_string();
            let time = if xmin == 0 { READING } else { PATIENCE };
            let rows =
                bounded_by(time, async { client.query_typed(sql::POLL.sql, &[(&after, Type::TEXT)]).await }).await?;
            let found = batch(&rows).inspect_err(|_| db.leave_connections())?;
            if found.cursor.is_elsewhere(&follower.cursor) {
                // Other connections may lead to a server that was replaced.
                db.leave_connections();
                if xmin > 0 {
                    // The rows before the cursor are other rows now.
                    (follower.cursor, xmin) = (found.cursor, 0);
                    continue;
                }
            }
            let keys = rows.first().map(|row| (row.get("keys_changed"), row.get("longest_life")));
            let (cursor, keys) = (found.cursor, keys.unwrap_or_default());
            self.take_in(found, follower);
            // Only now: what was revoked is in force and sent, whatever becomes of the keys.
            if follower.keys != keys {
                ring.reload(db).await?;
                follower.keys = keys;
            }
            (follower.cursor, xmin) = (cursor, cursor.xmin);
            self.freshness.set(asked);
            let hint = async {
                tokio::select! { () = heard.notified() => {}, () = self.hint.notified() => {} }
            };
            let _ = timeout(POLL, hint).await;
        }
    }

    /// Puts in force what a poll found, and sends what is new of it.
    fn take_in(&self, mut found: Batch, follower: &mut Follower) {
        let set = || self.set.write().unwrap_or_else(PoisonError::into_inner);
        // One at a time: there may be a million, and every check of a token reads the set.
        found.revocations.retain(|revocation| set().insert(revocation));
        let has_forgotten = {
            let mut set = set();
            let before = set.len();
            set.forget_before(Timestamp::now());
            set.len() < before
        };
        if has_forgotten || !found.revocations.is_empty() {
            self.snapshots.outdate();
        }
        let mut own = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        found.revocations.append(&mut own);
        drop(own);
        self.snapshots.polled(&found);
        if !found.revocations.is_empty() || follower.sent.elapsed() >= HEARTBEAT {
            follower.sent = Instant::now();
            // Without a receiver there is nobody to send it to.
            let _ = self.batches.send(Arc::new(found));
        }
    }
}
