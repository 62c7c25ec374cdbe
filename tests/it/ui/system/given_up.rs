//! Many deliveries: what blocks is shown before what was given up, each is on a page, and given-up ones are dismissed.

use super::{sinks::until_stuck, *};

const PAGE: &str = "/authy/ui/admin/sinks";

/// Adds deliveries of events that are not kept any more to a sink, of a state, each a second older than the one before.
async fn add(app: &TestApp, sink: &str, state: &str, number: i64) {
    let sql = app.sql().await;
    let cursor = "INSERT INTO authy.event_cursor (sink, epoch, seen) SELECT $1, epoch, pg_current_snapshot()
                  FROM authy.event_epoch ON CONFLICT DO NOTHING";
    sql.execute(cursor, &[&sink]).await.unwrap();
    let insert = "INSERT INTO authy.delivery (sink, event_id, happened, state, attempts, next_attempt, changed, error)
                  SELECT $1, gen_random_uuid(), now() - make_interval(days => 1, secs => n), $2,
                         CASE WHEN $2 = 'given_up' THEN 1 ELSE 0 END, now() + interval '1 day', now() - interval '1 hour',
                         'mailbox ' || n || ' of ' || $1
                  FROM generate_series(1, $3::bigint) AS n";
    sql.execute(insert, &[&sink, &state, &number]).await.unwrap();
}

/// Returns the reasons of the deliveries on a page to a sink, in its order.
fn reasons(page: &Answer, sink: &str) -> Vec<u32> {
    let parts = page.body.split("<span class=\"error\">mailbox ").skip(1);
    let named = parts.filter_map(|rest| rest.split('<').next().unwrap().strip_suffix(&format!(" of {sink}")));
    named.map(|number| number.parse().unwrap()).collect()
}

fn next(page: &Answer) -> Option<String> {
    let before = page.body.split("rel=\"next\"").next().filter(|before| before.len() < page.body.len())?;
    Some(before.rsplit("href=\"").next()?.split('"').next()?.replace("&amp;", "&"))
}

#[tokio::test]
async fn what_blocks_is_shown_whatever_was_given_up_and_each_is_on_a_page() {
    let app = sinks::app(false).await;
    let (_, mut visitor) = enter(&app, "superadmin").await;
    add(&app, "mail", "given_up", 120).await;
    let subject = app.user().await;
    let stuck = until_stuck(&app, subject.id).await;
    let page = visitor.get(PAGE).await;
    assert!(page.body.contains(&format!("{}/skip\"", stuck.event_id)), "the newest one is out of reach: {page:?}");
    assert!(page.body.contains("120 given up</span>"), "{page:?}");
    // Every one is on a page, once, oldest first.
    let mut seen = reasons(&page, "mail");
    let mut after = next(&page);
    while let Some(path) = after {
        let page = visitor.get(&path).await;
        assert!(page.body.contains(&format!("{}/skip\"", stuck.event_id)), "the other list stays: {path}: {page:?}");
        seen.extend(reasons(&page, "mail"));
        after = next(&page);
    }
    assert_eq!(seen, (1..=120).rev().collect::<Vec<_>>());
    // Of one sink.
    add(&app, "other", "given_up", 2).await;
    let page = visitor.get(&format!("{PAGE}?sink=other")).await;
    assert_eq!((reasons(&page, "other"), reasons(&page, "mail").len()), (vec![2, 1], 0), "{page:?}");
    assert!(!page.body.contains(&format!("{}/skip\"", stuck.event_id)), "{page:?}");
    let page = visitor.get(&format!("{PAGE}?after=nonsense&given_up_after=1.2.3")).await;
    assert_eq!(page.status, 200, "{page:?}");
}

#[tokio::test]
async fn what_was_given_up_is_dismissed_one_by_one_or_all_of_a_sink() {
    let app = sinks::app(true).await;
    let (root, mut visitor) = enter(&app, "superadmin").await;
    let (_, mut admin) = enter(&app, "admin").await;
    add(&app, "mail", "given_up", 3).await;
    add(&app, "other", "given_up", 1).await;
    let sql = app.sql().await;
    let oldest = "SELECT event_id::text FROM authy.delivery WHERE sink = 'mail' ORDER BY happened LIMIT 1";
    let oldest: String = sql.query_one(oldest, &[]).await.unwrap().get(0);
    let path = format!("{PAGE}/mail/{oldest}/dismiss");
    assert!(!admin.get(PAGE).await.body.contains("/dismiss"), "what one may not do is not offered");
    assert_eq!(admin.post(&path, "").await.status, 403);
    let question = visitor.get(&path).await;
    assert!(question.status == 200 && question.body.contains("no longer listed"), "{question:?}");
    assert_eq!(reasons(&visitor.get(PAGE).await, "mail"), [3, 2, 1], "a question changes nothing");
    let answer = visitor.post(&path, "").await;
    assert_eq!(answer.header("location"), format!("{PAGE}?notice=delivery_dismissed"), "{answer:?}");
    assert_eq!(visitor.post(&path, "").await.status, 404);

    // All that was there when the page was shown.
    let page = visitor.get(&format!("{PAGE}?sink=mail")).await;
    assert_eq!(reasons(&page, "mail"), [2, 1], "{page:?}");
    let link = page.body.split("href=\"").find(|link| link.contains("/mail/dismiss?until=")).expect("it is offered");
    let all = link.split('"').next().unwrap();
    sql.execute("UPDATE authy.delivery SET changed = now() + interval '1 minute' WHERE error LIKE 'mailbox 1 %'", &[])
        .await
        .unwrap();
    assert_eq!(admin.post(all, "").await.status, 403);
    assert_eq!(visitor.get(all).await.status, 200);
    let answer = visitor.post(all, "").await;
    assert_eq!(answer.header("location"), format!("{PAGE}?notice=deliveries_dismissed"), "{answer:?}");
    let page = visitor.get(&format!("{PAGE}?notice=deliveries_dismissed")).await;
    assert_eq!((reasons(&page, "mail"), reasons(&page, "other")), (vec![1], vec![1]), "{page:?}");
    for path in [format!("{PAGE}/mail/dismiss"), format!("{PAGE}/mail/dismiss?until=soon")] {
        assert_eq!(visitor.post(&path, "").await.status, 400, "{path}");
    }
    let query = api::event::EventQuery { kind: Some(EventKind::named("delivery.dismissed")), ..Default::default() };
    let events = app.authy.events().list(&query).await.unwrap().events;
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().all(|event| event.actor == Some(root.id) && event.detail["sink"] == "mail"), "{events:?}");
}

#[tokio::test]
async fn a_long_backlog_is_counted_up_to_a_number() {
    let app = sinks::app(true).await;
    let (_, mut visitor) = enter(&app, "admin").await;
    add(&app, "mail", "waiting", 10_002).await;
    add(&app, "other", "waiting", 10_000).await;
    let page = visitor.get(PAGE).await;
    assert!(page.body.contains("more than 10\u{202f}000 waiting"), "{page:?}");
    assert!(page.body.contains(">10\u{202f}000 waiting"), "{page:?}");
}

#[tokio::test]
async fn the_page_of_a_user_has_the_deliveries_about_the_user_that_failed() {
    let app = sinks::app(false).await;
    let (_, mut root) = enter(&app, "superadmin").await;
    let (_, mut admin) = enter(&app, "admin").await;
    let (subject, other) = (app.user().await, app.user().await);
    let (stuck, elsewhere) = (until_stuck(&app, subject.id).await, until_stuck(&app, other.id).await);
    let path = format!("/authy/ui/admin/users/{}", subject.id);
    let page = root.get(&path).await;
    assert!(page.body.contains("Deliveries that failed") && page.body.contains("is in no mood"), "{page:?}");
    for action in ["retry", "skip"] {
        assert!(page.body.contains(&format!("{PAGE}/recorder/{}/{action}\"", stuck.event_id)), "{action}: {page:?}");
    }
    assert!(!page.body.contains(&elsewhere.event_id.to_string()), "{page:?}");
    let page = admin.get(&path).await;
    assert!(page.body.contains("is in no mood") && !page.body.contains("/admin/sinks/recorder"), "{page:?}");
    let (_, mut quiet) = enter(&app, "superadmin").await;
    let sql = app.sql().await;
    sql.execute("DELETE FROM authy.delivery WHERE subject = $1", &[subject.id.as_uuid()]).await.unwrap();
    assert!(!quiet.get(&path).await.body.contains("Deliveries that failed"));
}

#[tokio::test]
async fn the_page_says_what_happened_in_the_language_of_the_visitor() {
    let app = sinks::app(false).await;
    let (_, mut visitor) = enter(&app, "superadmin").await;
    let subject = app.user().await;
    until_stuck(&app, subject.id).await;
    visitor.post("/authy/ui/language", "language=de&return=/authy/ui").await;
    let page = visitor.get(PAGE).await;
    assert!(
        page.body.contains("<strong>Konto angelegt</strong>") && page.body.contains("<code>user.registered</code>"),
        "{page:?}"
    );
    let insert = "INSERT INTO authy.event (event_id, happened, kind, origin, subject, detail)
                  SELECT gen_random_uuid(), now(), 'session.ended', 'user', $1, '{\"reason\": \"too_many\"}'";
    app.sql().await.execute(insert, &[subject.id.as_uuid()]).await.unwrap();
    let page = visitor.get(&format!("/authy/ui/admin/users/{}", subject.id)).await;
    assert!(page.body.contains("100 Sitzungen sind offen</span>"), "{page:?}");
}
