//! The latest writes that this instance has committed. After a failover to a standby that was behind, or a restore, some of them are
//! not there: the proof that the database has lost what it had acknowledged, also when nothing was revoked.
//!
//! Transaction IDs prove nothing. A smaller one than before also follows from a crash or a failover that lost no commit: PostgreSQL
//! gives out again the IDs of transactions that were rolled back, or never wrote, and of commits of other programs that did not wait
//! for the disk (`synchronous_commit = off`). Neither do positions in the write-ahead log: the last bytes of a lost primary are often
//! those of a checkpoint. An event whose commit was acknowledged is there or lost.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use uuid::Uuid;

use super::sql;
use crate::{
    Result,
    engine::storage::{connector::bounded_by, db::Db},
};

/// Number of writes that are kept from before the latest poll. What is lost are the latest writes: when one of these is there, so are
/// all earlier ones. Several, because concurrent writes are not acknowledged in the order of their commits.
const SETTLED: usize = 16;

/// Maximum number of writes between two polls. During an outage the first ones are kept, which were before it.
const UNSETTLED: usize = 4096;

/// Maximum age of a write that is looked for. An older one may have been deleted with its month (`Config::event_retention`).
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// Maximum time of the search: the next poll waits for it.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Events of committed writes, one each.
#[derive(Default)]
pub(super) struct CommittedWrites {
    settled: Vec<(Instant, Uuid)>,
    /// Since the latest poll began.
    unsettled: Vec<(Instant, Uuid)>,
}

impl CommittedWrites {
    /// Adds a write whose commit was acknowledged, by one of its events.
    pub(super) fn push(&mut self, now: Instant, event: Uuid) {
        if self.unsettled.len() < UNSETTLED {
            self.unsettled.push((now, event));
        }
    }

    /// Records that the database answered a poll that began at this time, and is the same as before: of earlier writes only the
    /// latest ones are kept.
    pub(super) fn settle(&mut self, polled: Instant) {
        let until = self.unsettled.partition_point(|(time, _)| *time < polled);
        self.settled.extend(self.unsettled.drain(..until));
        let superfluous = self.settled.len().saturating_sub(SETTLED);
        self.settled.drain(..superfluous);
    }

    /// Returns the events that must be in the database.
    pub(super) fn events(&self, now: Instant) -> Vec<Uuid> {
        let all = self.settled.iter().chain(&self.unsettled);
        all.filter(|(time, _)| now.saturating_duration_since(*time) < MAX_AGE).map(|(_, event)| *event).collect()
    }

    /// Removes events, so that their loss is reported once.
    pub(super) fn remove(&mut self, events: &[Uuid]) {
        self.settled.retain(|(_, event)| !events.contains(event));
        self.unsettled.retain(|(_, event)| !events.contains(event));
    }
}

/// Returns those of these events that are not in the database.
pub(super) async fn missing(db: &Db, client: &Client, events: &[Uuid]) -> Result<Vec<Uuid>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let rows = bounded_by(TIMEOUT, db.read_unnamed(client, &sql::FIND_MISSING, &[&events])).await?;
    Ok(rows.iter().map(|row| row.get("event_id")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(number: usize) -> Vec<Uuid> {
        (0..number).map(|_| Uuid::now_v7()).collect()
    }

    #[test]
    fn of_what_a_poll_has_settled_only_the_latest_is_kept() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let (before, after) = (ids(100), ids(3));
        let mut writes = CommittedWrites::default();
        before.iter().for_each(|event| writes.push(start, *event));
        after.iter().for_each(|event| writes.push(start + 2 * second, *event));
        writes.settle(start + second);
        let kept: Vec<_> = before.iter().skip(100 - SETTLED).chain(&after).copied().collect();
        assert_eq!(writes.events(start + 3 * second), kept);
        writes.remove(&kept[..2]);
        assert_eq!(writes.events(start + 3 * second), kept[2..]);
    }

    #[test]
    fn during_an_outage_what_was_before_it_is_kept() {
        let start = Instant::now();
        let all = ids(UNSETTLED + 10);
        let mut writes = CommittedWrites::default();
        all.iter().for_each(|event| writes.push(start, *event));
        assert_eq!(writes.events(start), all[..UNSETTLED]);
        assert!(writes.events(start + MAX_AGE).is_empty());
    }
}
