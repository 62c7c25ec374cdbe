//! A sink that appends every delivered event to a file, so that the record survives its process.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
};

use async_trait::async_trait;
use authy_core::{
    EventId, UserId,
    api::event::EventView,
    engine::{Delivery, DeliveryError, Sink},
};
use uuid::Uuid;

/// A sink that appends every delivered event to a file.
pub struct RecordingSink {
    file: File,
    pace: Delivery,
}

/// One delivered event.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEvent {
    /// The event's ID.
    pub event_id: EventId,
    /// The user it is about.
    pub subject: Option<UserId>,
    /// The kind of event.
    pub kind: String,
}

impl RecordingSink {
    /// A sink that appends to this file.
    pub fn open(path: &Path, pace: Delivery) -> Self {
        Self { file: OpenOptions::new().create(true).append(true).open(path).unwrap(), pace }
    }

    /// Every event in the file, in order of delivery, repetitions included.
    pub fn read(path: &Path) -> Vec<RecordedEvent> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let entry = |line: &str| {
            let [event_id, subject, kind] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            RecordedEvent { event_id: event_id.parse().unwrap(), subject: subject.parse().ok(), kind: kind.to_owned() }
        };
        text.lines().map(entry).collect()
    }
}

#[async_trait]
impl Sink for RecordingSink {
    fn name(&self) -> &'static str {
        "recording"
    }

    /// Leaves out the creation of keys: it precedes the first delivery.
    fn wants(&self, event: &EventView) -> bool {
        !event.kind.as_str().starts_with("key.")
    }

    fn delivery(&self) -> Delivery {
        self.pace
    }

    async fn deliver(&self, event: &EventView) -> Result<(), DeliveryError> {
        let subject = event.subject.map_or("-".to_owned(), |user| user.to_string());
        // All of it in one write, which a kill does not cut in two, and which no kill takes back.
        let line = format!("{} {subject} {}\n", event.event_id, event.kind);
        (&self.file)
            .write_all(line.as_bytes())
            .map_err(|cause| DeliveryError::retryable("it cannot write").with_source(cause))
    }
}

/// Asserts that the sink received exactly the events of the database, in order per user. Repetitions are left out.
///
/// # Panics
/// When an event is missing, out of order, or not in the database.
pub async fn assert_complete(sql: &tokio_postgres::Client, path: &Path, when: &str) {
    let query =
        "SELECT event_id, subject, kind FROM authy.event WHERE kind NOT LIKE 'key.%' ORDER BY happened, event_id";
    let happened = sql.query(query, &[]).await.unwrap().into_iter().map(|row| RecordedEvent {
        event_id: row.get::<_, Uuid>(0).into(),
        subject: row.get::<_, Option<Uuid>>(1).map(UserId::from),
        kind: row.get(2),
    });
    let mut seen = HashSet::new();
    let recorded = RecordingSink::read(path).into_iter().filter(|entry| seen.insert(entry.event_id));
    assert_eq!(by_user(recorded), by_user(happened), "{when}: the sink received (left) what did not happen (right) so");
}

/// The events of each user, in order.
fn by_user(entries: impl Iterator<Item = RecordedEvent>) -> BTreeMap<Option<String>, Vec<(String, String)>> {
    let mut by_user = BTreeMap::<_, Vec<_>>::new();
    for RecordedEvent { event_id, subject, kind } in entries {
        let events = by_user.entry(subject.map(|user| user.to_string())).or_default();
        events.push((event_id.to_string(), kind));
    }
    // Events without a user have no order.
    if let Some(without_user) = by_user.get_mut(&None) {
        without_user.sort_unstable();
    }
    by_user
}
