//! `authy-server event tail`: new events, until the process is stopped.

use std::{collections::HashSet, time::Duration};

use authy_core::{
    Authy,
    api::{
        event::{EventQuery, EventView},
        page::PageSize,
    },
};

use crate::start::BoxError;

/// Interval at which new events are read.
const TAIL_INTERVAL: Duration = Duration::from_millis(500);

/// Prints new events until the process is stopped.
pub(super) async fn run(
    authy: &Authy,
    query: EventQuery,
    print: impl Fn(&EventView) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    // A transaction that commits late is listed behind one that committed early. So each time the newest events are
    // read, as many pages as are new, and events that were printed are skipped.
    let query = EventQuery { limit: Some(PageSize::new(100)?), ..query };
    let ids = |events: &[EventView]| events.iter().map(|event| event.event_id).collect::<HashSet<_>>();
    let first = authy.events().list(&query).await?.events;
    // Events behind this one are old; in an empty database all events are new.
    let mut newest = first.first().map(|event| event.event_id);
    let mut printed = ids(&first);
    loop {
        tokio::time::sleep(TAIL_INTERVAL).await;
        let mut page = authy.events().list(&query).await?;
        let mut events = std::mem::take(&mut page.events);
        while let Some(next) = page.next.filter(|_| !events.iter().any(|event| Some(event.event_id) == newest)) {
            page = authy.events().list(&EventQuery { after: Some(next), ..query.clone() }).await?;
            events.append(&mut page.events);
        }
        for event in events.iter().rev().filter(|event| !printed.contains(&event.event_id)) {
            print(event)?;
        }
        newest = events.first().map(|event| event.event_id).or(newest);
        printed = ids(&events);
    }
}
