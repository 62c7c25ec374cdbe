//! The position of a sink, and the next events.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{EVENT_POLL_INTERVAL, Relay, lease::Lease, sql};
use crate::{
    Error, ErrorKind, Result,
    api::event::EventView,
    engine::{journal::event, storage::statement::Params},
};

/// Number of events per page: enough to keep a broker busy, and few enough for the memory.
const EVENTS_A_PAGE: i64 = 1000;

/// Reads the events that a sink has not received, page by page.
pub(super) struct Reader<'a> {
    relay: &'a Relay,
    lease: &'a Lease,
    cursor: SinkCursor,
    // The timeline of the cursor's snapshots.
    timeline: String,
    written: watch::Receiver<()>,
    // The time when new events were last found.
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

/// A page of events, and the cursor after their delivery.
pub(super) struct UnreadPage {
    pub(super) events: Vec<EventView>,
    next: SinkCursor,
}

/// Pause after new events were found. Under load, the events written meanwhile are read together, and notifying the
/// relay costs the writers almost nothing.
const GATHER_TIME: Duration = Duration::from_millis(50);

const BEGINNING: &str = "-infinity";

/// A snapshot that includes no transaction.
const EMPTY_SNAPSHOT: &str = "1:1:";

impl<'a> Reader<'a> {
    /// Takes the cursor: from here on, a write of the previous holder of the lease has no effect.
    pub(super) async fn load(relay: &'a Relay, lease: &'a Lease) -> Result<Self> {
        let row = relay.journal.db.write_quietly(&sql::TAKE_CURSOR, &[&relay.sink.name()]).await?;
        let row = row.ok_or_else(|| Error::new(ErrorKind::Internal, "the sink has no cursor"))?;
        let cursor = SinkCursor {
            epoch: row.get("epoch"),
            seen: row.get("seen"),
            pass: row.get("pass"),
            happened: row.get("happened"),
            event_id: row.get("event_id"),
            turn: row.get("turn"),
        };
        let timeline = row.get("timeline");
        Ok(Self { relay, lease, cursor, timeline, written: relay.journal.db.written(), found: None })
    }

    /// Waits for events.
    pub(super) async fn next(&mut self) -> Result<UnreadPage> {
        loop {
            if let Some(page) = self.read().await? {
                return Ok(page);
            }
            // The poll finds the events of other instances.
            let _ = tokio::time::timeout(EVENT_POLL_INTERVAL, self.written.changed()).await;
        }
    }

    /// Returns the next page; `None` when nothing is new.
    async fn read(&mut self) -> Result<Option<UnreadPage>> {
        loop {
            let SinkCursor { epoch, seen, pass, happened, event_id, .. } = &self.cursor;
            if let Some(pass) = pass {
                let params: Params<'_> = &[epoch, seen, pass, happened, event_id, &EVENTS_A_PAGE];
                let rows = self.lease.read_in_order(&sql::READ, params).await?;
                return Ok(Some(self.page(&rows, pass.clone(), *epoch)));
            }
            if let Some(found) = self.found {
                sleep_until(found + GATHER_TIME).await;
            }
            let looked = Instant::now();
            let row = self.lease.read_one(&sql::LOOK, &[epoch, seen]).await?;
            if !row.get::<_, bool>("here") {
                // Not a failure: the relay takes the lease again, and a new epoch begins.
                return Err(Error::new(ErrorKind::Unavailable, "the database has moved to another cluster"));
            }
            let current: i32 = row.get("epoch");
            if *epoch < current {
                let params: Params<'_> = &[epoch, seen, happened, event_id, &EVENTS_A_PAGE, &self.relay.sink.name()];
                let rows = self.lease.read_in_order(&sql::READ_LEFT, params).await?;
                return Ok(Some(self.page(&rows, EMPTY_SNAPSHOT.to_owned(), epoch + 1)));
            }
            let now: String = row.get("now");
            match row.get::<_, Option<String>>("first") {
                // Kept only in memory: events that are not new now never become new.
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

    /// Returns a page and the position after it. `seen` and `epoch` apply when it is the last page.
    fn page(&self, rows: &[Row], seen: String, epoch: i32) -> UnreadPage {
        let mut next = self.cursor.clone();
        match rows.last().filter(|_| i64::try_from(rows.len()) == Ok(EVENTS_A_PAGE)) {
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
        UnreadPage { events: rows.iter().map(event::view).filter(|event| self.relay.sink.wants(event)).collect(), next }
    }

    /// Stores the reason why the page is not accepted, for the operator. The next advance clears it.
    pub(super) async fn store_error(&self, reason: &str) -> Result<()> {
        let params: Params<'_> = &[&self.relay.sink.name(), &reason, &self.cursor.turn];
        self.relay.journal.db.write_quietly(&sql::SET_ERROR, params).await.map(drop)
    }

    /// Advances past a page that was delivered.
    pub(super) async fn commit(&mut self, page: UnreadPage) -> Result<()> {
        self.write(page.next, &[]).await
    }

    /// Advances past a page, and queues its events in the same statement.
    pub(super) async fn commit_queued(&mut self, page: UnreadPage) -> Result<()> {
        self.write(page.next, &page.events).await
    }

    async fn write(&mut self, mut next: SinkCursor, queued: &[EventView]) -> Result<()> {
        let ids: Vec<Uuid> = queued.iter().map(|event| *event.event_id.as_uuid()).collect();
        let times: Vec<DateTime<Utc>> = queued.iter().map(|event| event::instant(event.happened_micros)).collect();
        let users: Vec<Option<Uuid>> = queued.iter().map(|event| event.subject.map(|user| *user.as_uuid())).collect();
        let Relay { journal, sink, .. } = self.relay;
        let SinkCursor { epoch, seen, pass, happened, event_id, turn } = &next;
        let sink = sink.name();
        let params: Params<'_> =
            &[&sink, turn, epoch, seen, pass, happened, event_id, &self.timeline, &ids, &times, &users];
        if journal.db.write_quietly(&sql::MOVE_CURSOR, params).await?.is_none() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "another instance relays to the sink, or another server is the primary",
            ));
        }
        next.turn += 1;
        self.cursor = next;
        Ok(())
    }
}
