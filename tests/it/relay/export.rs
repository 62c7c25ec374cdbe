//! The audit trail as an incremental export: oldest first, page by page, for ever.

use std::time::{Duration, UNIX_EPOCH};

use authy_core::{
    api::{
        event::{EventCursor, EventKind, EventOrder},
        page::PageSize,
    },
    time::Timestamp,
};

use super::*;

/// Follows the trail as an exporter does.
struct Exporter {
    authy: Authy,
    query: EventQuery,
}

impl Exporter {
    fn new(authy: &Authy, limit: u32) -> Self {
        let query = EventQuery {
            order: Some(EventOrder::Ascending),
            limit: Some(PageSize::new(limit).unwrap()),
            ..EventQuery::default()
        };
        Self { authy: authy.clone(), query }
    }

    /// Exports all that there are for now.
    async fn export(&mut self) -> Vec<EventView> {
        let limit = self.query.limit.unwrap().get() as usize;
        let mut exported = Vec::new();
        loop {
            let page = self.authy.events().list(&self.query).await.unwrap();
            self.query.after = Some(page.next.expect("an ascending page has a cursor"));
            let is_last = page.events.len() < limit;
            exported.extend(page.events);
            if is_last {
                return exported;
            }
        }
    }
}

/// All events, oldest first, from the list that is newest first.
async fn all(authy: &Authy) -> Vec<EventView> {
    let query = EventQuery { limit: PageSize::new(100).ok(), ..EventQuery::default() };
    let mut events = authy.events().list(&query).await.unwrap().events;
    events.reverse();
    events
}

#[tokio::test]
async fn an_export_continues_where_it_ended_and_repeats_nothing() {
    let authy = instance(&database::fresh().await, &MasterKeys::generate().unwrap()).await;
    write_events(&authy).await;
    let mut exporter = Exporter::new(&authy, 2);
    let mut exported = exporter.export().await;
    assert_eq!(exported, all(&authy).await);
    let position = exporter.query.after;
    assert!(exporter.export().await.is_empty() && exporter.query.after == position, "nothing is new");
    for _ in 0..3 {
        write_events(&authy).await;
        exported.extend(exporter.export().await);
        assert_eq!(exported, all(&authy).await);
    }
}

#[tokio::test]
async fn an_export_begins_with_the_first_event_of_a_time_and_ends_in_the_future_without_one() {
    let authy = instance(&database::fresh().await, &MasterKeys::generate().unwrap()).await;
    for _ in 0..2 {
        write_events(&authy).await;
    }
    let all = all(&authy).await;
    let instant = |event: &EventView| UNIX_EPOCH + Duration::from_micros(event.happened_micros.unsigned_abs());
    for (skipped, event) in all.iter().enumerate() {
        let mut exporter = Exporter::new(&authy, 3);
        exporter.query.since = Some(Timestamp(instant(event).into()));
        assert_eq!(exporter.export().await, all[skipped..]);
        let newest_first = EventQuery { order: None, after: None, limit: None, ..exporter.query.clone() };
        assert_eq!(authy.events().list(&newest_first).await.unwrap().events.len(), all.len() - skipped);
    }
    let mut exporter = Exporter::new(&authy, 3);
    exporter.query.since = Some(Timestamp((instant(all.last().unwrap()) + Duration::from_secs(3600)).into()));
    assert!(exporter.export().await.is_empty());
    write_events(&authy).await;
    assert!(exporter.export().await.is_empty(), "an event before `since` is not exported later");
}

#[tokio::test]
async fn an_export_of_one_user_or_one_kind_contains_the_same_events_as_the_list() {
    let authy = instance(&database::fresh().await, &MasterKeys::generate().unwrap()).await;
    let (user, _) = (write_events(&authy).await, write_events(&authy).await);
    let mut of_user = Exporter::new(&authy, 2);
    of_user.query.user = Some(user);
    let kinds: Vec<_> = of_user.export().await.iter().map(|event| event.kind.to_string()).collect();
    assert_eq!(kinds, KINDS);
    let mut of_kind = Exporter::new(&authy, 1);
    of_kind.query.kind = Some(EventKind::RoleGranted);
    assert_eq!(of_kind.export().await.len(), 2);
}

#[tokio::test]
async fn an_export_skips_no_event_of_a_transaction_that_commits_late() {
    let config = database::fresh().await;
    let authy = instance(&config, &MasterKeys::generate().unwrap()).await;
    let mut exporter = Exporter::new(&authy, 2);
    write_events(&authy).await;
    let mut exported = exporter.export().await;
    let mut host = database::connect(&config).await;
    let caller = operator();
    for commits in [true, false] {
        let new = authy.users().prepare_registration(&caller, new_user(&fresh_name("late"))).await.unwrap();
        let tx = host.transaction().await.unwrap();
        write_events(&authy).await;
        let _ = authy.within(&tx).users().register(&caller, &new).await.unwrap();
        write_events(&authy).await;
        exported.extend(exporter.export().await);
        assert!(all(&authy).await.len() >= exported.len() + 3, "the events after the open transaction have to wait");
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        exported.extend(exporter.export().await);
        assert_eq!(exported, all(&authy).await);
    }
}

#[tokio::test]
async fn an_export_waits_for_a_transaction_whose_beginning_it_cannot_see() {
    let config = database::fresh().await;
    let authy = instance(&config, &MasterKeys::generate().unwrap()).await;
    write_events(&authy).await;
    let sql = database::connect(&config).await;
    // With this setting, PostgreSQL does not show when a transaction of the connection began.
    sql.batch_execute(
        "SET track_activities = off; BEGIN;
         INSERT INTO authy.event (event_id, kind, origin) VALUES (gen_random_uuid(), 'role.created', 'operator')",
    )
    .await
    .unwrap();
    let mut exporter = Exporter::new(&authy, 100);
    assert!(exporter.export().await.is_empty());
    let cursor: EventCursor = exporter.query.after.unwrap();
    assert_eq!(cursor.happened, 0, "it begins at the beginning");
    sql.batch_execute("COMMIT").await.unwrap();
    assert_eq!(exporter.export().await, all(&authy).await);
}

#[tokio::test]
async fn exports_while_many_write_contain_every_event_once() {
    let authy = instance(&database::fresh().await, &MasterKeys::generate().unwrap()).await;
    let mut exporter = Exporter::new(&authy, 7);
    let mut exported = exporter.export().await;
    let writers = tokio::spawn(at_once(8, {
        let authy = authy.clone();
        move |_| {
            let authy = authy.clone();
            async move {
                write_events(&authy).await;
                write_events(&authy).await
            }
        }
    }));
    while !writers.is_finished() {
        exported.extend(exporter.export().await);
    }
    writers.await.unwrap();
    exported.extend(exporter.export().await);
    assert_eq!(exported, all(&authy).await);
}
