//! Reads that may lag, from a replica of the database.
//!
//! How far the replica is behind is measured by positions in the write-ahead log, because the clocks of two machines differ: once a
//! second the position of the primary is noted. Each read proves, in its own transaction, that its server has replayed a position
//! that was noted recently: the address of the replica may lead to several servers, and to a wrong one.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Row;

use crate::{
    Error, ErrorKind, Result,
    engine::storage::{
        connector::is_refused_for_role,
        db::{Condition, Db, LaggingReads, SlowRead},
        generation::Generation,
        statement::{Params, Statement},
    },
};

pub(in crate::engine) mod sql;

/// Interval at which the position of the primary is noted, and the replica is tried.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);

/// Time after a trial of the replica for which its result counts. A replica that does not answer any more costs a read at most
/// the time limit of a query, and only for this long.
const TRIAL_VALIDITY: Duration = Duration::from_secs(3);

/// A replica of the database.
pub(in crate::engine) struct Replica {
    db: Db,
    max_lag: Duration,
    state: Mutex<ReplicaState>,
}

/// A position in the write-ahead log of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    cluster: i64,
    timeline: i64,
    bytes: i64,
}

#[derive(Default)]
struct ReplicaState {
    /// Where the primary was, and when. All in one history: positions of different timelines are not comparable.
    noted: VecDeque<(Instant, Position)>,
    /// When the replica last was up to date. `None` after a failure.
    tried: Option<Instant>,
    /// What was logged last: whether the replica is read from.
    logged: Option<bool>,
}

impl Replica {
    /// Creates a replica that is read from while it is at most `max_lag` behind. It is not read from before
    /// [`follow`](LaggingReads::follow) has seen it.
    pub(in crate::engine) fn new(db: Db, max_lag: Duration) -> Self {
        Self { db, max_lag, state: Mutex::default() }
    }

    /// Adds the replica to the database.
    pub(in crate::engine) fn of(self, primary: Db) -> Db {
        primary.with_lagging_reads(self)
    }

    /// Returns how many bytes of the write-ahead log the replica has to replay.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when it cannot be used.
    pub(in crate::engine) async fn bytes_behind(&self, primary: &Db) -> Result<u64> {
        let replica = Position::of(&self.position().await?).ok_or_else(not_a_standby)?;
        let primary = Position::of(&primary.read_one(&sql::PRIMARY_POSITION, &[]).await?).ok_or_else(is_standby)?;
        replica.require(Position { bytes: replica.bytes, ..primary })?;
        Ok(primary.bytes.saturating_sub(replica.bytes).max(0).unsigned_abs())
    }

    async fn compare(&self, primary: &Db) -> Result<()> {
        // Before the question: what is committed later is not in the answer.
        let asked = Instant::now();
        let position = Position::of(&primary.read_one(&sql::PRIMARY_POSITION, &[]).await?);
        let position = position.ok_or_else(is_standby)?;
        let needed = {
            let mut state = self.lock();
            state.note(asked, position, self.max_lag);
            state.needed(self.max_lag, asked).unwrap_or(position)
        };
        let generation = self.db.generation();
        self.accept(generation, &self.position().await?, needed)
    }

    async fn position(&self) -> Result<Row> {
        self.db.read_one(&sql::STANDBY_POSITION, &[]).await.map_err(|error| match is_refused_for_role(&error) {
            true => not_a_standby(),
            false => error,
        })
    }

    /// Checks that the server of a connection has replayed a position. When it has not, its connections are left and the next host
    /// is tried: another one may be up to date, and an address may lead to several.
    fn accept(&self, generation: Generation, row: &Row, needed: Position) -> Result<()> {
        accept(row, needed).inspect_err(|_| self.db.leave_host(generation))
    }

    fn lock(&self) -> MutexGuard<'_, ReplicaState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LaggingReads for Replica {
    async fn read(&self, read: SlowRead, statement: &'static Statement, params: Params<'_>) -> Option<Vec<Row>> {
        let needed = self.lock().usable(self.max_lag, Instant::now())?;
        let generation = self.db.generation();
        let condition =
            Condition { statement: &sql::STANDBY_POSITION, accept: &|row| self.accept(generation, row, needed) };
        match self.db.read_slowly(Some(&condition), read, statement, params).await {
            Ok(rows) => Some(rows),
            Err(error) => {
                // The next ones do not wait for it.
                self.lock().tried = None;
                tracing::debug!(%error, "the replica did not answer a read");
                None
            }
        }
    }

    async fn follow(&self, primary: &Db) {
        let mut ticks = interval(COMPARE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tried = self.compare(primary).await;
            let mut state = self.lock();
            state.tried = tried.is_ok().then(Instant::now);
            if state.logged.replace(tried.is_ok()) != Some(tried.is_ok()) {
                drop(state);
                match tried {
                    Ok(()) => tracing::info!("the replica is up to date: reads that may lag go to it"),
                    Err(error) => {
                        let error = crate::error::chain(&error).to_string();
                        tracing::warn!(error, max_lag = ?self.max_lag, "the replica is not read from");
                    }
                }
            }
        }
    }
}

impl Position {
    /// Reads the row of a position.
    fn of(row: &Row) -> Option<Self> {
        let (timeline, bytes): (Option<i64>, Option<i64>) = (row.get("timeline"), row.get("bytes"));
        Some(Self { cluster: row.get("cluster"), timeline: timeline?, bytes: bytes? })
    }
}

impl ReplicaState {
    fn note(&mut self, asked: Instant, position: Position, max_lag: Duration) {
        let is_same_history = |last: &Position| (last.cluster, last.timeline) == (position.cluster, position.timeline);
        if self.noted.back().is_some_and(|(_, last)| !is_same_history(last)) {
            self.noted.clear();
        }
        self.noted.push_back((asked, position));
        while self.noted.front().is_some_and(|(time, _)| asked.duration_since(*time) > max_lag) {
            self.noted.pop_front();
        }
        self.thin_out();
    }

    /// Returns the oldest position that is recent enough: a server that has replayed it is at most `max_lag` behind.
    fn needed(&self, max_lag: Duration, now: Instant) -> Option<Position> {
        let is_recent = |time: Instant| now.saturating_duration_since(time) <= max_lag;
        self.noted.iter().find(|(time, _)| is_recent(*time)).map(|(_, position)| *position)
    }

    /// Returns what a read needs; `None` when the replica was not up to date a moment ago.
    fn usable(&self, max_lag: Duration, now: Instant) -> Option<Position> {
        let tried = self.tried?;
        if now.saturating_duration_since(tried) > TRIAL_VALIDITY { None } else { self.needed(max_lag, now) }
    }

    /// Halves the notes when there are many, so that they take little memory however long the lag may be.
    fn thin_out(&mut self) {
        const MAX_NOTES: usize = 512;
        if self.noted.len() > MAX_NOTES {
            let mut keep = false;
            self.noted.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }
}

/// Checks that a server has replayed a position.
fn accept(row: &Row, needed: Position) -> Result<()> {
    // A server that is not a standby is the primary itself, which needs no replica, or one that was the primary and lives on.
    Position::of(row).ok_or_else(not_a_standby)?.require(needed)
}

impl Position {
    fn require(self, needed: Self) -> Result<()> {
        if self.cluster != needed.cluster {
            return Err(unusable("the replica is of another database cluster"));
        }
        if self.timeline != needed.timeline {
            return Err(unusable(
                "the replica is on another timeline, or has not said yet that it follows the new primary",
            ));
        }
        match self.bytes >= needed.bytes {
            true => Ok(()),
            false => Err(unusable("the replica is too far behind")),
        }
    }
}

fn is_standby() -> Error {
    unusable("the database is a standby")
}

fn not_a_standby() -> Error {
    unusable("the replica is not a standby")
}

fn unusable(why: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_LAG: Duration = Duration::from_secs(10);

    fn at(timeline: i64, bytes: i64) -> Position {
        Position { cluster: 7, timeline, bytes }
    }

    #[test]
    fn the_oldest_position_that_is_recent_enough_is_needed() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut state = ReplicaState::default();
        assert_eq!(state.needed(MAX_LAG, start), None);
        for seconds in 0..20 {
            state.note(after(seconds), at(1, 100 + i64::try_from(seconds).unwrap()), MAX_LAG);
        }
        assert_eq!(state.needed(MAX_LAG, after(19)), Some(at(1, 109)));
        assert_eq!(state.needed(MAX_LAG, after(25)), Some(at(1, 115)));
        // The primary has not answered for so long that nothing is known about the replica.
        assert_eq!(state.needed(MAX_LAG, after(30)), None);
    }

    #[test]
    fn only_a_replica_that_was_up_to_date_a_moment_ago_is_read_from() {
        let start = Instant::now();
        let mut state = ReplicaState::default();
        state.note(start, at(1, 100), MAX_LAG);
        assert_eq!(state.usable(MAX_LAG, start), None);
        state.tried = Some(start);
        assert_eq!(state.usable(MAX_LAG, start), Some(at(1, 100)));
        assert_eq!(state.usable(MAX_LAG, start + TRIAL_VALIDITY + Duration::from_secs(1)), None);
    }

    #[test]
    fn positions_of_another_timeline_or_cluster_do_not_count() {
        let start = Instant::now();
        let mut state = ReplicaState::default();
        state.note(start, at(1, 100), MAX_LAG);
        state.note(start, at(2, 90), MAX_LAG);
        assert_eq!(state.needed(MAX_LAG, start), Some(at(2, 90)));
        at(2, 90).require(at(2, 90)).unwrap();
        at(1, 200).require(at(2, 90)).unwrap_err();
        at(2, 89).require(at(2, 90)).unwrap_err();
        Position { cluster: 8, ..at(2, 100) }.require(at(2, 90)).unwrap_err();
    }

    #[test]
    fn a_long_lag_takes_little_memory() {
        let start = Instant::now();
        let mut state = ReplicaState::default();
        let lag = Duration::from_secs(100_000);
        for seconds in 0..10_000 {
            state.note(start + Duration::from_secs(seconds), at(1, i64::try_from(seconds).unwrap()), lag);
        }
        assert!(state.noted.len() <= 512);
    }
}
