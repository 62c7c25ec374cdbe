//! A sink that writes what it is told into a file, and so remembers it when its process is killed.

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
    engine::{Pace, Sink, Undelivered},
};
use uuid::Uuid;

/// The sink.
pub struct Ledger {
    file: File,
    pace: Pace,
}

/// What it was told of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which event.
    pub event_id: EventId,
    /// Whom it was about.
    pub subject: Option<UserId>,
    /// What happened.
    pub kind: String,
}

impl Ledger {
    /// One that writes into this file, behind what is there.
    pub fn open(path: &Path, pace: Pace) -> Self {
        Self { file: OpenOptions::new().create(true).append(true).open(path).unwrap(), pace }
    }

    /// What is in the file, in the order in which it was told.
    pub fn read(path: &Path) -> Vec<Entry> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let entry = |line: &str| {
            let [event_id, subject, kind] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            Entry { event_id: event_id.parse().unwrap(), subject: subject.parse().ok(), kind: kind.to_owned() }
        };
        text.lines().map(entry).collect()
    }
}

#[async_trait]
impl Sink for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    /// The keys of a house are made before anybody is told anything.
    fn wants(&self, event: &EventView) -> bool {
        !event.kind.starts_with("key.")
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    async fn deliver(&self, event: &EventView) -> Result<(), Undelivered> {
        let subject = event.subject.map_or("-".to_owned(), |user| user.to_string());
        // All of it in one write, which a kill does not cut in two, and which no kill takes back.
        let line = format!("{} {subject} {}\n", event.event_id, event.kind);
        (&self.file).write_all(line.as_bytes()).map_err(|cause| Undelivered::for_now("it cannot write").because(cause))
    }
}

/// That what the sink was told first of each event is what happened, in order per user.
///
/// # Panics
/// When something was not told, not in order, or did not happen.
pub async fn audit(sql: &tokio_postgres::Client, path: &Path, when: &str) {
    let query =
        "SELECT event_id, subject, kind FROM authy.event WHERE kind NOT LIKE 'key.%' ORDER BY happened, event_id";
    let happened = sql.query(query, &[]).await.unwrap().into_iter().map(|row| Entry {
        event_id: row.get::<_, Uuid>(0).into(),
        subject: row.get::<_, Option<Uuid>>(1).map(UserId::from),
        kind: row.get(2),
    });
    let mut seen = HashSet::new();
    let told = Ledger::read(path).into_iter().filter(|entry| seen.insert(entry.event_id));
    assert_eq!(lives(told), lives(happened), "{when}: the sink was told (left) what did not happen (right) so");
}

/// The events of each user, in order.
fn lives(entries: impl Iterator<Item = Entry>) -> BTreeMap<Option<String>, Vec<(String, String)>> {
    let mut lives = BTreeMap::<_, Vec<_>>::new();
    for Entry { event_id, subject, kind } in entries {
        let life = lives.entry(subject.map(|user| user.to_string())).or_default();
        life.push((event_id.to_string(), kind));
    }
    // Those of nobody have no order.
    if let Some(of_nobody) = lives.get_mut(&None) {
        of_nobody.sort_unstable();
    }
    lives
}
