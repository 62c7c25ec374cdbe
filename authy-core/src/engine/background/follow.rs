//! Polls the revocations in the database, and passes them on to this process and its followers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::{
    Error, ErrorKind, Result,
    engine::{
        domain::signing_key::SigningKeys,
        journal::revocation::{
            RevocationFeed,
            poll::{FULL_READ_TIMEOUT, batch},
            sql,
        },
        storage::{
            connector::{ANSWER_TIMEOUT, bounded_by},
            db::Db,
        },
    },
    revocation::Cursor,
};

/// Maximum time between two polls.
const REVOCATION_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Pause after an error.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Maximum time between two batches for the followers of this instance.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The position of the follower. It advances only after everything that a poll found is in force.
struct Follower<'a> {
    feed: &'a RevocationFeed,
    db: &'a Db,
    keys: &'a SigningKeys,
    cursor: Cursor,
    /// The latest cluster and timeline.
    newest: Cursor,
    sent: Instant,
    keys_seen: KeysSeen,
}

/// When the keys last changed, and the longest lifetime of a token: when either differs, the keys are read again.
type KeysSeen = (Option<DateTime<Utc>>, Option<i64>);

/// Follows the revocations from a cursor on. Does not return.
pub(super) async fn follow(feed: Arc<RevocationFeed>, db: Arc<Db>, keys: Arc<SigningKeys>, cursor: Cursor) {
    let mut follower = Follower {
        feed: &feed,
        db: &db,
        keys: &keys,
        cursor,
        newest: cursor,
        sent: Instant::now(),
        keys_seen: (None, None),
    };
    loop {
        if let Err(error) = follower.follow_connection().await {
            tracing::warn!(%error, "cannot follow the revocations: retrying");
        }
        sleep(RECONNECT_PAUSE).await;
    }
}

impl Follower<'_> {
    async fn follow_connection(&mut self) -> Result<()> {
        let (opened, notified) = self.db.listen("authy_revocation").await?;
        let (client, mut generation) = (opened.client, opened.generation);
        // A new connection may lead to another server, which may reuse transaction IDs of the previous server's lost
        // transactions. So all revocations in force are read again; those that are already known are not sent again.
        let mut xmin = 0;
        loop {
            // All are read: what was known before and is not there was lost.
            let known = (xmin == 0).then(|| self.feed.known());
            let (requested, began) = (self.feed.now(), Instant::now());
            let after = xmin.to_string();
            let time = if xmin == 0 { FULL_READ_TIMEOUT } else { ANSWER_TIMEOUT };
            if !self.db.is_present(generation) {
                return Err(Error::new(ErrorKind::Unavailable, "the primary has changed"));
            }
            let polled = bounded_by(time, self.db.read_unnamed(&client, &sql::POLL, &[&after])).await;
            let rows = polled.inspect_err(|error| self.db.leave_if_demoted(generation, error))?;
            let found = batch(&rows).inspect_err(|_| self.db.leave_connections())?;
            if found.cursor.is_elsewhere(&self.cursor) {
                // Other connections may lead to a server that is no longer the primary.
                self.db.leave_connections();
                generation = self.db.generation();
                // Rows before the cursor may have changed.
                (self.cursor, xmin) = (found.cursor, 0);
                continue;
            }
            if let Some(known) = known {
                self.feed.report_lost(known, &found);
            }
            if self.feed.compare_clocks(found.as_of_ms, requested) && xmin > 0 {
                xmin = 0;
                continue;
            }
            let keys = rows.first().map(|row| (row.get("keys_changed"), row.get("longest_lifetime")));
            let (cursor, keys) = (found.cursor, keys.unwrap_or_default());
            let batch = self.feed.take_in(found);
            if !batch.revocations.is_empty() || self.sent.elapsed() >= HEARTBEAT {
                self.sent = Instant::now();
                self.feed.send(batch);
            }
            // After the revocations, which are now in force and sent even if loading the keys fails.
            if self.keys_seen != keys {
                self.keys.reload().await?;
                self.keys_seen = keys;
            }
            let is_whole = xmin == 0;
            (self.cursor, xmin) = (cursor, cursor.xmin);
            self.feed.confirm(requested);
            // What was revoked is in force. This is for the operator.
            match is_whole {
                true => self.look_for_commits(&client, &cursor).await?,
                false => self.feed.settle_commits(began),
            }
            let news = async {
                tokio::select! { () = notified.notified() => {}, () = self.feed.written() => {} }
            };
            let _ = timeout(REVOCATION_POLL_INTERVAL, news).await;
        }
    }

    /// Looks for the latest writes in the database, unless it is a former primary that is still up, which cannot know those of its
    /// successor.
    async fn look_for_commits(&mut self, client: &Client, found: &Cursor) -> Result<()> {
        if found.cluster == self.newest.cluster && found.timeline < self.newest.timeline {
            return Ok(());
        }
        self.newest = *found;
        self.feed.report_lost_commits(client).await
    }
}
