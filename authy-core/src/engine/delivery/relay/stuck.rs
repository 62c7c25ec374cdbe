//! Failed deliveries, and the state of the sinks.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::sql;
use crate::{
    EventId, Invalid, Result, UserId,
    api::{event::EventCursor, page::PageSize},
    engine::{delivery::Deliveries, storage::statement::Params},
    time::to_second,
};

/// An event that a sink has not accepted.
#[derive(Clone, Debug)]
pub struct StuckDelivery {
    /// The name of the sink.
    pub sink: String,
    /// The event.
    pub event_id: EventId,
    /// The time of the event.
    pub happened: DateTime<Utc>,
    /// The kind of the event; `None` when the event has already been deleted.
    pub kind: Option<String>,
    /// The user that the event is about.
    pub subject: Option<UserId>,
    /// Whether the delivery was given up.
    pub is_given_up: bool,
    /// Whether an operator dismissed it after that: it is no longer listed, and can still be retried.
    pub is_dismissed: bool,
    /// The number of attempts.
    pub attempts: u32,
    /// The time of the next attempt.
    pub next_attempt: DateTime<Utc>,
    /// The reason why the last attempt failed.
    pub error: Option<String>,
}

impl StuckDelivery {
    fn of(row: &Row) -> Self {
        Self {
            sink: row.get("sink"),
            event_id: row.get::<_, Uuid>("event_id").into(),
            happened: to_second(row.get("happened")),
            kind: row.get("kind"),
            subject: row.get::<_, Option<Uuid>>("subject").map(UserId::from),
            is_given_up: row.get::<_, &str>("state") == "given_up",
            is_dismissed: row.get("is_dismissed"),
            attempts: row.get::<_, i32>("attempts").unsigned_abs(),
            next_attempt: to_second(row.get("next_attempt")),
            error: row.get("error"),
        }
    }
}

/// What became of a delivery that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StuckState {
    /// It is repeated. Later events about the same user wait behind it.
    Repeated,
    /// It was given up, and not dismissed.
    GivenUp,
}

/// Which failed deliveries to list, a page at a time.
#[derive(Clone, Debug)]
pub struct StuckQuery {
    /// What became of them.
    pub state: StuckState,
    /// Only those to the sink with this name.
    pub sink: Option<String>,
    /// Those after this position: the `next` of an earlier page.
    pub after: Option<StuckCursor>,
    /// Maximum number of deliveries in the page.
    pub limit: u32,
}

impl StuckQuery {
    /// Creates a query of the first page, to all sinks.
    pub fn new(state: StuckState) -> Self {
        Self { state, sink: None, after: None, limit: PageSize::DEFAULT.get() }
    }
}

/// A position in a list of failed deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckCursor {
    /// The event.
    pub event: EventCursor,
    /// The name of the sink.
    pub sink: String,
}

impl fmt::Display for StuckCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event, self.sink)
    }
}

impl FromStr for StuckCursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("invalid_cursor", "must be the `next` of an earlier page");
        // No ID has a full stop, and a name of a sink may have several.
        let mut parts = text.splitn(3, '.');
        let (happened, id, sink) = (parts.next(), parts.next(), parts.next());
        let event = format!("{}.{}", happened.unwrap_or_default(), id.unwrap_or_default()).parse()?;
        Ok(Self { event, sink: sink.ok_or_else(invalid)?.to_owned() })
    }
}

/// A page of failed deliveries.
#[derive(Clone, Debug)]
pub struct StuckPage {
    /// The deliveries, oldest event first.
    pub deliveries: Vec<StuckDelivery>,
    /// The position after which the next page begins; `None` on the last page.
    pub next: Option<StuckCursor>,
}

/// The state of a sink.
#[derive(Clone, Debug)]
pub struct SinkStatus {
    /// The name of the sink.
    pub sink: String,
    /// The number of events that it has not accepted yet. At most 10,000 each of those that were tried or will be next, and of
    /// those after them are counted.
    pub waiting: u64,
    /// Whether there may be more.
    pub waiting_is_at_least: bool,
    /// The time of the oldest of them.
    pub oldest: Option<DateTime<Utc>>,
    /// The number of events whose delivery failed and is repeated, up to 10,000, with
    /// [`Delivery::PerSubject`](crate::engine::Delivery::PerSubject).
    pub stuck: u64,
    /// The number of events whose delivery was given up and not dismissed, up to 10,000.
    pub given_up: u64,
    /// The reason why it accepts nothing at present, with [`Delivery::Ordered`](crate::engine::Delivery::Ordered).
    pub error: Option<String>,
}

impl Deliveries {
    /// Returns up to `limit` failed deliveries: first those that are repeated, which delay later events, then those that were
    /// given up, and not dismissed; of each the oldest event first. [`list`](Self::list) has pages of them.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn list_stuck(&self, limit: u32) -> Result<Vec<StuckDelivery>> {
        let query = |state, limit| StuckQuery { limit, ..StuckQuery::new(state) };
        let mut stuck = self.list(&query(StuckState::Repeated, limit)).await?.deliveries;
        let rest = limit.saturating_sub(u32::try_from(stuck.len()).unwrap_or(limit));
        if rest > 0 {
            stuck.extend(self.list(&query(StuckState::GivenUp, rest)).await?.deliveries);
        }
        Ok(stuck)
    }

    /// Returns a page of failed deliveries, oldest event first.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn list(&self, query: &StuckQuery) -> Result<StuckPage> {
        let statement = match query.state {
            StuckState::Repeated => &sql::LIST_REPEATED,
            StuckState::GivenUp => &sql::LIST_GIVEN_UP,
        };
        let event = query.after.as_ref().map(|after| after.event);
        let micros = event.map_or(0, |event| event.happened);
        let happened = DateTime::from_timestamp_micros(micros).unwrap_or_default();
        let id = event.map_or_else(Uuid::nil, |event| *event.event_id.as_uuid());
        let sink = query.after.as_ref().map_or("", |after| &after.sink);
        // One more than requested, to find out whether there are more.
        let params: Params<'_> = &[&query.sink, &happened, &id, &sink, &(i64::from(query.limit) + 1)];
        let mut rows = self.journal.db.list(statement, params).await?;
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let cursor = |row: &Row| StuckCursor {
            event: EventCursor {
                happened: row.get::<_, DateTime<Utc>>("happened").timestamp_micros(),
                event_id: row.get::<_, Uuid>("event_id").into(),
            },
            sink: row.get("sink"),
        };
        let next = rows.last().filter(|_| has_more).map(cursor);
        Ok(StuckPage { deliveries: rows.iter().map(StuckDelivery::of).collect(), next })
    }

    /// Returns up to `limit` failed deliveries about a user: first those that are repeated, then those that were given up, also
    /// when they were dismissed.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn list_stuck_of(&self, user: UserId, limit: u32) -> Result<Vec<StuckDelivery>> {
        let rows = self.journal.db.list(&sql::LIST_STUCK_OF, &[user.as_uuid(), &i64::from(limit)]).await?;
        Ok(rows.iter().map(StuckDelivery::of).collect())
    }

    /// Returns a delivery that is not made yet, failed or not.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn find_stuck(&self, sink: &str, event: EventId) -> Result<Option<StuckDelivery>> {
        let row = self.journal.db.read_opt(&sql::FIND_STUCK, &[&sink, event.as_uuid()]).await?;
        Ok(row.as_ref().map(StuckDelivery::of))
    }

    /// Returns the state of every sink that was ever started.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn list_sinks(&self) -> Result<Vec<SinkStatus>> {
        let rows = self.journal.db.list(&sql::LIST_SINKS, &[]).await?;
        let status = rows.iter().map(|row| SinkStatus {
            sink: row.get("sink"),
            waiting: row.get::<_, i64>("waiting").unsigned_abs(),
            waiting_is_at_least: row.get("waiting_is_at_least"),
            oldest: row.get::<_, Option<DateTime<Utc>>>("oldest").map(to_second),
            stuck: row.get::<_, i64>("stuck").unsigned_abs(),
            given_up: row.get::<_, i64>("given_up").unsigned_abs(),
            error: row.get("error"),
        });
        Ok(status.collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(happened in 0..253_402_300_799_999_999_i64, sink in "[a-z.-]{0,9}") {
            let cursor = StuckCursor { event: EventCursor { happened, event_id: EventId::random() }, sink };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn any_text_is_a_cursor_or_none(text in "\\PC*|-?[0-9]{1,25}\\.[0-9a-f-]{0,40}\\.[a-z]*") {
            if let Ok(cursor) = text.parse::<StuckCursor>() {
                prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
    }
}
