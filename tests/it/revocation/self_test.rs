//! A server sees for itself whether revocations arrive.

use std::time::{Duration, Instant};

use authy_core::engine::SelfTestFailure;
use authy_tests::{TestApp, until, until_within};

#[tokio::test]
async fn a_server_tests_its_own_revocations_and_says_what_holds_them_up() {
    let app = TestApp::with(|config, _| config.self_test = Some(Duration::from_millis(50))).await;
    let sql = app.sql().await;
    let count = async |what: &str| {
        let query = format!("SELECT count(*) FROM authy.{what}");
        sql.query_one(&query, &[]).await.unwrap().get::<_, i64>(0)
    };
    let events = count("event").await;
    until("a revocation of no session has arrived", || async {
        app.authy
            .revocations()
            .self_test()
            .is_some_and(|test| test.failed.is_none() && test.delay.unwrap() < Duration::from_secs(1))
    })
    .await;
    assert_eq!(count("event").await, events, "it is no event, and no sink is called");

    // Each poll reads the keys: while none can, no poll ends.
    let mut other = app.sql().await;
    let lock = other.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE authy.signing_key IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let begun = count("revocation").await;
    until("one more is under way", || async { count("revocation").await > begun }).await;
    let held = Instant::now();
    until("it is late", || async { held.elapsed() > Duration::from_millis(1200) }).await;
    lock.rollback().await.unwrap();
    until("that was noticed", || async {
        let test = app.authy.revocations().self_test().unwrap();
        test.failed == Some(SelfTestFailure::Poll) && test.delay.is_some_and(|delay| delay > Duration::from_secs(1))
    })
    .await;
    until("all is well again", || async { app.authy.revocations().self_test().unwrap().failed.is_none() }).await;

    // Nothing can be written.
    let lock = other.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE authy.revocation IN EXCLUSIVE MODE").await.unwrap();
    until_within(Duration::from_secs(30), "nothing is written", || async {
        app.authy.revocations().self_test().unwrap().failed == Some(SelfTestFailure::Write)
    })
    .await;
    lock.rollback().await.unwrap();
    until_within(Duration::from_secs(30), "all is well again", || async {
        app.authy.revocations().self_test().unwrap().failed.is_none()
    })
    .await;
    // What has expired goes with the rest.
    sql.batch_execute("UPDATE authy.revocation SET until = now() - interval '25 hours'").await.unwrap();
    let report = app.authy.maintain().await.unwrap();
    assert!(report.revocations > 0, "{report:?}");
}
