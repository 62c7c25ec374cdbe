//! The audit trail itself: it cannot be changed, it is read page by page, and its months come and go.

use std::time::Duration;

use authy_core::{api::page::PageSize, engine::Config};

use super::*;

#[tokio::test]
async fn the_audit_trail_is_append_only_even_for_its_owner() {
    let config = database::fresh().await;
    let authy = instance(&config, &MasterKeys::generate().unwrap()).await;
    authy.sessions().login(&operator(), credentials("unknown-user")).await.unwrap_err();
    let id = write_events(&authy).await;
    let sql = database::connect(&config).await;
    for change in [
        "UPDATE authy.event SET kind = 'other'",
        "UPDATE authy.event SET subject = NULL, ip = NULL, user_agent = NULL",
        "DELETE FROM authy.event",
        "TRUNCATE authy.event",
        "TRUNCATE authy.event_default",
    ] {
        let refused = sql.batch_execute(change).await.unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("append-only"), "{change}: {refused}");
    }
    let query = EventQuery { user: Some(id), ..EventQuery::default() };
    assert_eq!(authy.events().list(&query).await.unwrap().events.len(), 3);
}

#[tokio::test]
async fn the_audit_trail_is_read_page_by_page() {
    let config = database::fresh().await;
    let authy = instance(&config, &MasterKeys::generate().unwrap()).await;
    let mut expected: Vec<EventId> = Vec::new();
    for _ in 0..3 {
        write_events(&authy).await;
    }
    let all = EventQuery { limit: Some(page_size(100)), ..EventQuery::default() };
    expected.extend(authy.events().list(&all).await.unwrap().events.iter().map(|event| event.event_id));
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = EventQuery { after, limit: Some(page_size(4)), ..all.clone() };
        let page = authy.events().list(&page).await.unwrap();
        assert!(page.events.len() <= 4);
        read.extend(page.events.iter().map(|event| event.event_id));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert!(expected.len() >= 10);
    assert_eq!(read, expected);
}

fn page_size(size: u32) -> PageSize {
    PageSize::new(size).unwrap()
}

#[tokio::test]
async fn months_are_made_ahead_and_dropped_when_they_are_old_and_no_event_is_lost_between_them() {
    let config = database::fresh().await;
    let keys = MasterKeys::generate().unwrap();
    let authy = Authy::builder(config.clone())
        .without_background()
        .master_keys(keys)
        .config(short_memory())
        .start()
        .await
        .unwrap();
    let sql = database::connect(&config).await;
    let count = |table: &'static str, part: &'static str| {
        let sql = &sql;
        async move {
            let query = format!("SELECT count(*) FROM authy.{table} WHERE {part}");
            sql.query_one(&query, &[]).await.unwrap().get::<_, i64>(0)
        }
    };
    // Events of a month without a partition, and of one that is older than is kept.
    for age in ["1 month", "13 months"] {
        let old = format!(
            "INSERT INTO authy.event (event_id, happened, kind, origin)
             VALUES (gen_random_uuid(), now() - interval '{age}', 'role.created', 'operator')"
        );
        sql.batch_execute(&old).await.unwrap();
    }
    assert_eq!(count("event_default", "true").await, 2);
    let report = authy.maintain().await.unwrap();
    assert_eq!((report.months_made, report.months_dropped > 0), (13, true), "{report:?}");
    assert_eq!(count("event_default", "true").await, 0);
    let kept = sql.batch_execute("TRUNCATE authy.event_default").await.unwrap_err();
    assert!(kept.as_db_error().unwrap().message().contains("append-only"), "the default partition was made anew");
    assert_eq!(count("event", "happened < now() - interval '20 days'").await, 1);
    sql.batch_execute("DELETE FROM authy.event").await.unwrap_err();
    let report = authy.maintain().await.unwrap();
    assert_eq!((report.months_made, report.months_dropped), (0, 0), "{report:?}");
    assert_eq!(write_events(&authy).await.to_string().len(), 36);
}

fn short_memory() -> Config {
    Config { event_retention: Some(Duration::from_secs(90 * 24 * 3600)), ..cheap() }
}

/// An event that happened long ago, and is delivered now.
const LONG_AGO: &str = "INSERT INTO authy.event (event_id, happened, kind, origin)
                        VALUES (gen_random_uuid(), now() - interval '13 months', 'role.created', 'operator')";

#[tokio::test]
async fn no_month_is_dropped_before_the_sinks_have_received_it() {
    for pace in PACES {
        let config = database::fresh().await;
        let keys = MasterKeys::generate().unwrap();
        let authy = Authy::builder(config.clone())
            .without_background()
            .master_keys(keys)
            .config(short_memory())
            .start()
            .await
            .unwrap();
        let sql = database::connect(&config).await;
        let sink = MemorySink::new(pace);
        sink.is_away.store(true, Ordering::SeqCst);
        let background = authy.start_background_with(vec![sink.clone()]).await.unwrap();
        write_events(&authy).await;
        sql.batch_execute(LONG_AGO).await.unwrap();
        until("it is tried", || async { authy.deliveries().list_sinks().await.unwrap()[0].waiting >= 4 }).await;
        // Delivery to a sink does not delay the making and dropping of months, while the sink is away or afterwards.
        // The month may have been made by the background work already.
        for _ in 0..2 {
            assert_eq!(authy.maintain().await.unwrap().months_undelivered, 1, "{pace:?}");
            let outside = "SELECT count(*) FROM authy.event_default";
            assert_eq!(sql.query_one(outside, &[]).await.unwrap().get::<_, i64>(0), 0, "{pace:?}");
        }
        sink.is_away.store(false, Ordering::SeqCst);
        until("it is delivered", || async { sink.received().iter().any(|event| event.kind == "role.created") }).await;
        until("that is noted", || async { authy.deliveries().list_sinks().await.unwrap()[0].waiting == 0 }).await;
        let report = authy.maintain().await.unwrap();
        assert_eq!((report.months_dropped, report.months_undelivered), (1, 0), "{pace:?}");

        // A sink that is no longer configured delays nothing, and what it missed delays nothing when it is back.
        sink.is_away.store(true, Ordering::SeqCst);
        sql.batch_execute(LONG_AGO).await.unwrap();
        until("it is tried", || async { authy.deliveries().list_sinks().await.unwrap()[0].waiting == 1 }).await;
        drop(background);
        let _background = authy.start_background_with(Vec::new()).await.unwrap();
        until("the month is dropped", || async {
            let old = "SELECT 1 FROM authy.event WHERE happened < now() - interval '1 year'";
            sql.query_opt(old, &[]).await.unwrap().is_none()
        })
        .await;
        sink.is_away.store(false, Ordering::SeqCst);
        let _back = authy.start_background_with(vec![sink.clone()]).await.unwrap();
        let delivered = sink.received().len();
        write_events(&authy).await;
        until("it goes on", || async { sink.received().len() == delivered + 3 }).await;
    }
}

#[tokio::test]
async fn why_a_stream_stands_still_is_shown_until_it_goes_on() {
    let sink = MemorySink::new(Delivery::Ordered { in_flight: 2 });
    let (_, authy, _background) = engine_with(sink.clone()).await;
    let error = async || authy.deliveries().list_sinks().await.unwrap()[0].error.clone();
    sink.is_away.store(true, Ordering::SeqCst);
    write_events(&authy).await;
    until("it is shown", || async { error().await.as_deref() == Some("it is away") }).await;
    sink.is_away.store(false, Ordering::SeqCst);
    until("it is over", || async { error().await.is_none() }).await;
}
