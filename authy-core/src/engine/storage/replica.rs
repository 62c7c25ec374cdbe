//! Reads that may lag, from a replica of the database.
//!
//! How far the replica is behind is measured by positions in the write-ahead log, because the clocks of two machines differ: once a
//! second the position of the primary is noted, and the replica has everything up to the newest noted position that it has
//! replayed.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Row;

use crate::{
    Error, ErrorKind, Result,
    engine::storage::{
        db::{Db, SlowRead},
        statement::{Params, Statement},
    },
};

pub(in crate::engine) mod sql;

/// Interval at which the positions are compared.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);

/// A replica of the database.
pub(in crate::engine) struct Replica {
    db: Db,
    max_lag: Duration,
    progress: Mutex<Progress>,
}

/// A position in the write-ahead log of a timeline, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    timeline: u32,
    bytes: i64,
}

#[derive(Default)]
struct Progress {
    /// Where the primary was, and when: what the replica has not replayed yet.
    noted: VecDeque<(Instant, Position)>,
    /// The replica has everything that was committed before this time.
    complete_until: Option<Instant>,
    was_current: bool,
}

impl Replica {
    /// Creates a replica that is read from while it is at most `max_lag` behind. It is not read from before
    /// [`follow`](Self::follow) has seen it.
    pub(in crate::engine) fn new(db: Db, max_lag: Duration) -> Self {
        Self { db, max_lag, progress: Mutex::default() }
    }

    /// Returns the rows of a read, unless the replica is behind or does not answer.
    pub(super) async fn read(
        &self,
        read: SlowRead,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Option<Vec<Row>> {
        if !self.is_current() {
            return None;
        }
        let listed = self.db.read_slowly(read, statement, params).await;
        listed.inspect_err(|error| tracing::debug!(%error, "the replica did not answer a read")).ok()
    }

    fn is_current(&self) -> bool {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.complete_until.is_some_and(|time| time.elapsed() <= self.max_lag)
    }

    /// Compares the replica with the primary once a second. Never returns.
    pub(in crate::engine) async fn follow(&self, primary: &Db) {
        let mut ticks = interval(COMPARE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let compared = self.compare(primary).await;
            let is_current = self.is_current();
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            match (std::mem::replace(&mut progress.was_current, is_current), is_current) {
                (true, false) => {
                    let error = compared.err().map(|error| error.to_string());
                    tracing::warn!(max_lag = ?self.max_lag, error, "the replica is behind: reads go to the primary");
                }
                (false, true) => tracing::info!("the replica is up to date: reads that may lag go to it"),
                _ => {}
            }
        }
    }

    async fn compare(&self, primary: &Db) -> Result<()> {
        // Before the question: what is committed later is not in the answer.
        let asked = Instant::now();
        let position = position(&primary.read_one(&sql::PRIMARY_POSITION, &[]).await?)?;
        let replayed = self.db.read_one(&sql::REPLAYED, &[]).await?.get::<_, Option<i64>>("bytes");
        // A server that is not a standby is the primary itself, which needs no replica, or one that was the primary and lives on.
        let replayed = replayed.ok_or_else(|| Error::new(ErrorKind::Unavailable, "the replica is not a standby"))?;
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).note(asked, position, replayed);
        Ok(())
    }
}

impl Progress {
    fn note(&mut self, asked: Instant, primary: Position, replayed: i64) {
        // Positions of different timelines are not comparable: the replica may have replayed what the new primary lost.
        if self.noted.back().is_some_and(|(_, last)| last.timeline != primary.timeline) {
            *self = Self { was_current: self.was_current, ..Self::default() };
        }
        // A primary without writes stays where it is, and a replica that has everything has it until now.
        self.noted.push_back((asked, primary));
        while let Some((time, position)) = self.noted.front()
            && position.bytes <= replayed
        {
            self.complete_until = Some(*time);
            // The last one stays, because it names the timeline.
            if self.noted.len() == 1 {
                break;
            }
            self.noted.pop_front();
        }
        self.thin_out();
    }

    /// Halves the notes when the replica is far behind, so that they take little memory however long that lasts.
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

fn position(row: &Row) -> Result<Position> {
    let timeline = row.get::<_, Option<&str>>("timeline").and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let timeline = timeline.ok_or_else(|| Error::new(ErrorKind::Unavailable, "the database is a standby"))?;
    Ok(Position { timeline, bytes: row.get("bytes") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(timeline: u32, bytes: i64) -> Position {
        Position { timeline, bytes }
    }

    #[test]
    fn a_replica_is_complete_until_the_newest_note_that_it_has_replayed() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut progress = Progress::default();
        progress.note(after(0), at(1, 100), 50);
        assert_eq!(progress.complete_until, None);
        progress.note(after(1), at(1, 200), 100);
        assert_eq!(progress.complete_until, Some(after(0)));
        progress.note(after(2), at(1, 300), 250);
        assert_eq!(progress.complete_until, Some(after(1)));
        // Without writes it is complete whenever it is asked.
        for seconds in 3..6 {
            progress.note(after(seconds), at(1, 300), 300);
            assert_eq!(progress.complete_until, Some(after(seconds)));
        }
        // It stops.
        progress.note(after(6), at(1, 400), 300);
        progress.note(after(7), at(1, 500), 300);
        assert_eq!(progress.complete_until, Some(after(5)));
    }

    #[test]
    fn positions_of_another_timeline_do_not_count() {
        let start = Instant::now();
        let mut progress = Progress::default();
        progress.note(start, at(1, 100), 100);
        assert_eq!(progress.complete_until, Some(start));
        progress.note(start, at(2, 90), 80);
        assert_eq!(progress.complete_until, None);
        progress.note(start, at(2, 95), 90);
        assert_eq!(progress.complete_until, Some(start));
    }

    #[test]
    fn a_replica_that_stays_behind_takes_little_memory_and_catches_up() {
        let start = Instant::now();
        let mut progress = Progress::default();
        for seconds in 0..10_000 {
            progress.note(start + Duration::from_secs(seconds), at(1, i64::try_from(seconds).unwrap() + 1), 0);
        }
        assert!(progress.noted.len() <= 512 && progress.complete_until.is_none());
        let last = start + Duration::from_secs(10_000);
        progress.note(last, at(1, 20_000), 20_000);
        assert_eq!(progress.complete_until, Some(last));
    }
}
