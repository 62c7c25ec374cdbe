//! The position of a sink, and what comes next.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{POLL_INTERVAL, Relay, lock::SinkLock, sql};
use crate::{
    Error, ErrorKind, Result,
    api::event::EventView,
    engine::{
        journal::{
            event,
            write::{Tx, Written},
        },
        storage::{connector::db_error, statement::Params},
    },
};

/// How many events are read at a time: enough to keep a broker busy, few enough to be forgotten.
const PAGE_SIZE: i64 = 1000;

/// Reads the events that a sink has not got, page by page.
pub(super) struct Reader<'a> {
    relay: &'a Relay,
    lock: &'a SinkLock,
    cursor: SinkCursor,
    // The timeline that the cursor's snapshots are of.
    timeline: String,
    written: watch::Receiver<()>,
    // When something new was last found.
    found: Option<Instant>,
}

/// A sink's row in `event_cursor`.
#[derive(Clone)]
struct SinkCursor {
    epoch: i32,
    seen: String,
    pass: Option<String>,
    happened: String,
    event_id: Uuid,
    turn: i64,
}

/// Some events, and the cursor once they were handed over.
pub(super) struct UnreadPage {
    pub(super) events: Vec<EventView>,
    // When the first and the last of what was read happened.
    span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    next: SinkCursor,
}

/// After something new was found the next look is so much later: where much is written, what was written meanwhile is read
/// together, and telling costs the writers next to nothing.
const GATHER_TIME: Duration = Duration::from_millis(50);

const BEGINNING: &str = "-infinity";

/// A snapshot that shows nothing.
const NOTHING: &str = "1:1:";

impl<'a> Reader<'a> {
    pub(super) async fn load(relay: &'a Relay, lock: &'a SinkLock) -> Result<Self> {
        let row = lock.read_one(&sql::FIND_CURSOR, &[&relay.sink.name()]).await?;
        let cursor = SinkCursor {
            epoch: row.get("epoch"),
            seen: row.get("seen"),
            pass: row.get("pass"),
            happened: row.get("happened"),
            event_id: row.get("event_id"),
            turn: row.get("turn"),
        };
        let timeline = row.get::<_, Option<String>>("timeline");
        let timeline = timeline.ok_or_else(|| Error::new(ErrorKind::Unavailable, "the database is a standby"))?;
        Ok(Self { relay, lock, cursor, timeline, written: relay.journal.db.written(), found: None })
    }

    /// Waits for events.
    pub(super) async fn next(&mut self) -> Result<UnreadPage> {
        loop {
            self.lock.holds()?;
            if let Some(page) = self.read().await? {
                return Ok(page);
            }
            // What is written elsewhere is found by the poll.
            let _ = tokio::time::timeout(POLL_INTERVAL, self.written.changed()).await;
        }
    }

    /// The next page; `None` when there is nothing new.
    async fn read(&mut self) -> Result<Option<UnreadPage>> {
        loop {
            let SinkCursor { epoch, seen, pass, happened, event_id, .. } = &self.cursor;
            if let Some(pass) = pass {
                let params: Params<'_> = &[epoch, seen, pass, happened, event_id, &PAGE_SIZE];
                let rows = self.lock.read_in_order(&sql::READ, params).await?;
                return Ok(Some(self.page(&rows, pass.clone(), *epoch)));
            }
            if let Some(found) = self.found {
                sleep_until(found + GATHER_TIME).await;
            }
            let looked = Instant::now();
            let row = self.lock.read_one(&sql::LOOK, &[epoch, seen]).await?;
            if !row.get::<_, bool>("here") {
                // Not a mistake: the lock is taken again, and with it a new epoch begins.
                return Err(Error::new(ErrorKind::Unavailable, "the database has moved into another cluster"));
            }
            let current: i32 = row.get("epoch");
            if *epoch < current {
                let params: Params<'_> = &[epoch, seen, happened, event_id, &PAGE_SIZE, &self.relay.sink.name()];
                let rows = self.lock.read_in_order(&sql::READ_LEFT, params).await?;
                return Ok(Some(self.page(&rows, NOTHING.to_owned(), epoch + 1)));
            }
            let now: String = row.get("now");
            match row.get::<_, Option<String>>("first") {
                // Remembered here only: what is not new now is never new again.
                None => {
                    self.cursor.seen = now;
                    return Ok(None);
                }
                Some(first) => {
                    self.found = Some(looked);
                    self.cursor.pass = Some(now);
                    self.cursor.happened = first;
                    self.cursor.event_id = Uuid::nil();
                }
            }
        }
    }

    /// A page, and where to go on after it: `seen` and `epoch` when it is the last one.
    fn page(&self, rows: &[Row], seen: String, epoch: i32) -> UnreadPage {
        let mut next = self.cursor.clone();
        match rows.last().filter(|_| i64::try_from(rows.len()) == Ok(PAGE_SIZE)) {
            Some(last) => {
                next.happened = last.get("happened_text");
                next.event_id = last.get("event_id");
            }
            None => {
                next.epoch = epoch;
                next.seen = seen;
                next.pass = None;
                next.happened = BEGINNING.to_owned();
                next.event_id = Uuid::nil();
            }
        }
        let happened = |row: &Row| row.get::<_, DateTime<Utc>>("happened");
        let span = rows.first().map(happened).zip(rows.last().map(happened));
        UnreadPage {
            events: rows.iter().map(event::view).filter(|event| self.relay.sink.wants(event)).collect(),
            span,
            next,
        }
    }

    /// Stores why the page is not taken, for the operator; the next move clears it.
    pub(super) async fn store_error(&self, reason: &str) -> Result<()> {
        self.relay.journal.db.write_quietly(&sql::SET_ERROR, &[&self.relay.sink.name(), &reason]).await.map(drop)
    }

    /// Moves on behind a page that was handed over.
    pub(super) async fn commit(&mut self, page: UnreadPage) -> Result<()> {
        self.write(page, &[]).await
    }

    /// Moves on behind a page, whose events are queued by the same transaction.
    pub(super) async fn commit_queued(&mut self, page: UnreadPage) -> Result<()> {
        let queued: Vec<Uuid> = page.events.iter().map(|event| *event.event_id.as_uuid()).collect();
        self.write(page, &queued).await
    }

    async fn write(&mut self, UnreadPage { mut next, span, .. }: UnreadPage, queued: &[Uuid]) -> Result<()> {
        let Relay { journal, sink, operator } = self.relay;
        let SinkCursor { epoch, seen, pass, happened, event_id, turn } = &next;
        let moved = async |tx: &Tx<'_>| {
            if let Some((first, last)) = span.filter(|_| !queued.is_empty()) {
                sql::ENQUEUE.rows(tx, &[&sink.name(), &queued, &first, &last]).await?;
            }
            let params: Params<'_> = &[&sink.name(), turn, epoch, seen, pass, happened, event_id, &self.timeline];
            match sql::MOVE_CURSOR.execute(tx, params).await.map_err(db_error)? {
                0 => Err(Error::new(
                    ErrorKind::Unavailable,
                    "another instance relays to the sink, or another server is the primary",
                )),
                // The events are there already.
                _ => Ok(Written::without_event(())),
            }
        };
        journal.write(operator, moved).await?;
        next.turn += 1;
        self.cursor = next;
        Ok(())
    }
}
