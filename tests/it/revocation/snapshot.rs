//! Revocations, served without a stream: from memory, with a tag, and only as long as it is fresh.

use std::time::Duration;

use authy_core::{
    api::session::{RevocationPage, RevocationQuery},
    engine::MasterKeys,
    revocation::Cursor,
};
use authy_postgres::Cluster;
use authy_tests::{
    TestApp, database, until,
    wire::{Answer, send},
};

pub(super) async fn published(app: &TestApp) -> RevocationPage {
    app.anonymous().get_revocations(RevocationQuery { after: None }).await.unwrap()
}

/// Requests the revocations, unless it has the tag.
async fn ask(app: &TestApp, query: &str, tag: &str) -> Answer {
    send(app.address, &format!("GET /authy/revocations{query} HTTP/1.1\nif-none-match: {tag}"), "").await
}

#[tokio::test]
async fn revocations_are_served_from_memory_with_a_tag_and_not_when_they_are_old() {
    let app = TestApp::with(|config, _| config.max_staleness = Duration::from_secs(3)).await;
    let user = app.user().await;
    let first = ask(&app, "", "\"another\"").await;
    let tag = first.header("etag").to_owned();
    assert_eq!(
        (first.status, first.header("cache-control"), first.header("content-type")),
        (200, "no-cache", "application/json")
    );
    for known in [tag.clone(), format!("\"x\", {tag}"), "*".to_owned()] {
        let again = ask(&app, "", &known).await;
        assert_eq!((again.status, again.header("etag"), again.body.as_str()), (304, tag.as_str(), ""), "{known}");
    }
    user.client.logout().await.unwrap();
    let changed = ask(&app, "", &tag).await;
    let revocations = |answer: &Answer| answer.json()["revocations"].as_array().unwrap().len();
    assert_eq!((changed.status, revocations(&changed)), (200, 1), "in force here, and so served at once");
    assert_ne!(changed.header("etag"), tag);

    // The table can no longer be read, and need not be.
    let mut sql = app.sql().await;
    let lock = sql.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE authy.revocation IN ACCESS EXCLUSIVE MODE").await.unwrap();
    for _ in 0..200 {
        let answer = ask(&app, "", "\"another\"").await;
        assert_eq!((answer.status, revocations(&answer), answer.header("etag")), (200, 1, changed.header("etag")));
    }
    until("it is too old", || async { ask(&app, "", "*").await.status == 503 }).await;
    assert_eq!(ask(&app, "", "*").await.header("retry-after"), "1");
    lock.rollback().await.unwrap();
    until("it is fresh again", || async { ask(&app, "", "*").await.status == 304 }).await;
}

#[tokio::test]
async fn revocations_since_a_recent_cursor_are_served_and_all_of_them_for_an_older_one() {
    let folder = database::folder();
    let cluster = Cluster::builder(folder.path()).dangerous_volatile().start().await.unwrap();
    let app = TestApp::on(cluster.config(), MasterKeys::generate().unwrap(), |_, _| ()).await;
    let since = async |cursor: Cursor| {
        let query = RevocationQuery { after: Some(cursor) };
        app.anonymous().get_revocations(query).await.unwrap()
    };
    let (mut cursors, mut logged_out) = (vec![published(&app).await.cursor], 0);
    for _ in 0..4 {
        let user = app.user().await;
        user.client.logout().await.unwrap();
        logged_out += 1;
        let moved = async || {
            let page = published(&app).await;
            page.revocations.len() == logged_out && page.cursor != *cursors.last().unwrap()
        };
        until("a poll has found it", moved).await;
        cursors.push(published(&app).await.cursor);
    }
    for (number, cursor) in cursors.iter().enumerate() {
        let served = since(*cursor).await.revocations;
        // More than were revoked since do no harm; one less would.
        assert!(served.len() >= logged_out - number, "{} since the cursor {number}", served.len());
    }
    let newest = since(*cursors.last().unwrap()).await;
    assert!(newest.revocations.len() < logged_out, "not everything since a cursor that is remembered");
    // A cursor from elsewhere, and an old one, begin anew.
    let elsewhere: Cursor = "1-1-99999999".parse().unwrap();
    assert_eq!(since(elsewhere).await.revocations.len(), logged_out);
    // What the database would return is served from memory, too.
    let read = app.authy.revocations().read(Some(&cursors[2])).await.unwrap();
    let served = since(cursors[2]).await;
    assert!(read.revocations.iter().all(|revocation| served.revocations.contains(revocation)));
}
