//! No change without its event: who, whom, what, when, and from where.

use authy_core::{
    Level,
    api::{
        event::{EventKind, EventOrder, EventQuery},
        role::NewRole,
        user::Deletion,
    },
};
use authy_tests::{PASSWORD, TestApp, TestUser, new_user, until, wire};
use serde_json::Value;
use uuid::Uuid;

mod kinds;

struct LastEvent {
    kind: String,
    origin: String,
    actor: Option<Uuid>,
    subject: Option<Uuid>,
    session: Option<Uuid>,
    ip: Option<std::net::IpAddr>,
    request_id: Option<String>,
    detail: Value,
}

async fn last(app: &TestApp) -> LastEvent {
    let row = app.sql().await;
    let row = row
        .query_one(
            "SELECT kind, origin, actor, subject, session_id, ip, request_id, detail FROM authy.event
             ORDER BY happened DESC, event_id DESC LIMIT 1",
            &[],
        )
        .await
        .unwrap();
    LastEvent {
        kind: row.get(0),
        origin: row.get(1),
        actor: row.get(2),
        subject: row.get(3),
        session: row.get(4),
        ip: row.get(5),
        request_id: row.get(6),
        detail: row.get(7),
    }
}

async fn assert_last(app: &TestApp, kind: &str, actor: Option<&TestUser>, subject: Option<Uuid>) -> LastEvent {
    let event = last(app).await;
    assert_eq!(event.kind, kind);
    assert_eq!((event.actor, event.subject), (actor.map(|user| *user.id.as_uuid()), subject), "{kind}");
    assert_eq!(event.origin, if actor.is_some() { "user" } else { "anonymous" }, "{kind}");
    assert_eq!(event.ip, Some("127.0.0.1".parse().unwrap()), "{kind}");
    assert!(event.request_id.is_some(), "{kind}");
    event
}

#[tokio::test]
async fn every_change_records_who_did_what_to_whom() {
    let app = TestApp::new().await;
    let (root, user) = (app.superadmin().await, app.user().await);
    let id = Some(*user.id.as_uuid());
    let event = assert_last(&app, "session.opened", None, id).await;
    assert!(event.session.is_some());

    let registered = app.anonymous().register(new_user("ada")).await.unwrap().public_id;
    assert_last(&app, "user.registered", None, Some(*registered.as_uuid())).await;

    let role = NewRole {
        name: "auctioneer".parse().unwrap(),
        description: "Opens auctions".parse().unwrap(),
        level: Level::clamped(7),
    };
    let name = role.name.clone();
    root.client.create_role(role).await.unwrap();
    assert_last(&app, "role.created", Some(&root), None).await;
    root.client.grant_role(name.clone(), user.id).await.unwrap();
    let event = assert_last(&app, "role.granted", Some(&root), id).await;
    assert_eq!(event.detail["role"], "auctioneer");
    root.client.revoke_role(name.clone(), user.id).await.unwrap();
    assert_last(&app, "role.revoked", Some(&root), id).await;
    root.client.delete_role(name).await.unwrap();
    assert_last(&app, "role.deleted", Some(&root), None).await;

    let again = app.again(&user).await;
    again.client.logout().await.unwrap();
    assert_last(&app, "session.ended", Some(&again), id).await;
    let again = app.again(&user).await;
    again.client.end_other_sessions().await.unwrap();
    assert_last(&app, "sessions.ended", Some(&again), id).await;
    root.client.end_user_sessions(user.id).await.unwrap();
    assert_last(&app, "sessions.ended", Some(&root), id).await;
    root.client.delete_user(user.id, Deletion::PLAIN).await.unwrap();
    assert_last(&app, "user.deleted", Some(&root), id).await;
}

#[tokio::test]
async fn the_trail_is_listed_from_a_time_on_in_either_order_over_http() {
    let app = TestApp::new().await;
    let admin = app.admin().await;
    let list = async |query: &str| {
        let head = format!("GET /authy/event?{query} HTTP/1.1\nx-access-token: {}", admin.token.expose());
        wire::send(app.address, &head, "").await
    };
    for since in ["2019-06-11T10:03:09Z", "2019-06-11T12:03:09.5%2B02:00", "Tue,+11+Jun+2019+10:03:09+GMT"] {
        let mut answer = list(&format!("since={since}&order=asc&limit=1")).await.json();
        let mut kinds = Vec::new();
        while let Some(event) = answer["events"].get(0) {
            kinds.push(event["kind"].as_str().unwrap().to_owned());
            let next = answer["next"].as_str().unwrap();
            answer = list(&format!("since={since}&order=asc&limit=1&after={next}")).await.json();
        }
        assert_eq!(kinds, ["key.created", "user.registered", "session.opened"]);
        assert!(answer["next"].is_string(), "{answer}");
    }
    let newest = list("since=2019-06-11T10:03:09Z&order=desc").await.json();
    assert_eq!((&newest["events"][0]["kind"], newest.get("next")), (&"session.opened".into(), None));
    for (query, code) in [("since=2019-06-11", "invalid_time"), ("order=ascending", "invalid_order")] {
        let answer = list(query).await;
        assert_eq!((answer.status, &answer.json()["fields"][0]["code"]), (400, &code.into()), "{query}");
    }
}

#[tokio::test]
async fn an_export_whose_position_was_lost_repeats_an_hour_and_skips_nothing() {
    let app = TestApp::new().await;
    let query = EventQuery { order: Some(EventOrder::Ascending), ..EventQuery::default() };
    let (kept, lost) = (app.user().await, app.user().await);
    let page = app.authy.events().list(&query).await.unwrap();
    let continued = EventQuery { after: page.next, ..query };
    assert!(app.authy.events().list(&continued).await.unwrap().events.is_empty());
    // As after a failover to a standby that lacks the last events and whose clock is behind.
    let sql = app.sql().await;
    sql.batch_execute("SET session_replication_role = replica").await.unwrap();
    sql.execute("DELETE FROM authy.event WHERE subject = $1", &[&lost.id]).await.unwrap();
    let behind = app.user().await;
    let set_back = "UPDATE authy.event SET happened = happened - interval '10 minutes' WHERE subject = $1";
    sql.execute(set_back, &[&behind.id]).await.unwrap();

    let page = app.authy.events().list(&continued).await.unwrap();
    let subjects: Vec<_> = page.events.iter().filter_map(|event| event.subject).collect();
    assert!(subjects.contains(&behind.id) && subjects.contains(&kept.id), "{subjects:?}");
    // From there on it continues as always.
    let continued = EventQuery { after: page.next, ..continued };
    assert!(app.authy.events().list(&continued).await.unwrap().events.is_empty());
}

#[tokio::test]
async fn a_refused_call_changes_nothing_and_writes_no_event() {
    let app = TestApp::new().await;
    let (admin, root) = (app.admin().await, app.superadmin().await);
    let count = || async {
        let sql = app.sql().await;
        sql.query_one("SELECT count(*) FROM authy.event", &[]).await.unwrap().get::<_, i64>(0)
    };
    let before = count().await;
    admin.client.delete_user(root.id, Deletion::PLAIN).await.unwrap_err();
    admin.client.grant_role("superadmin".parse().unwrap(), admin.id).await.unwrap_err();
    app.anonymous().register(new_user(&admin.username)).await.unwrap_err();
    app.anonymous().login(authy_tests::credentials("unknown-user")).await.unwrap_err();
    assert_eq!(count().await, before);
}

#[tokio::test]
async fn nothing_secret_is_in_the_database() {
    let app = TestApp::new().await;
    let user = app.user().await;
    user.client.get_self().await.unwrap();
    app.anonymous()
        .refresh(authy_core::api::session::RefreshToken { refresh_token: user.refresh_token.clone() })
        .await
        .unwrap();
    let sql = app.sql().await;
    let tables = sql.query("SELECT tablename FROM pg_tables WHERE schemaname = 'authy'", &[]).await.unwrap();
    assert!(tables.len() > 8);
    for table in tables {
        let table: String = table.get(0);
        let rows = sql.query(&format!("SELECT t::text FROM authy.{table} t"), &[]).await.unwrap();
        for row in rows {
            let row: String = row.get(0);
            for secret in [PASSWORD, user.token.expose(), user.refresh_token.expose()] {
                assert!(!row.contains(secret), "{table}: {row}");
            }
        }
    }
    until("the server is still there", || async { app.anonymous().get_status().await.is_ok() }).await;
}

#[tokio::test]
async fn the_events_of_a_rare_kind_are_found_by_an_index() {
    let app = TestApp::new().await;
    let sql = app.sql().await;
    let many = "INSERT INTO authy.event (event_id, kind, origin)
                SELECT gen_random_uuid(), 'session.opened', 'user' FROM generate_series(1, 20000)";
    sql.batch_execute(many).await.unwrap();
    sql.batch_execute("ANALYZE authy.event").await.unwrap();
    let user = app.user().await;
    let query = EventQuery { kind: Some(EventKind::UserRegistered), ..EventQuery::default() };
    let uses = "SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_user_indexes
                WHERE indexrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'authy.event_by_kind'::regclass)";
    let before: i64 = sql.query_one(uses, &[]).await.unwrap().get(0);
    // PostgreSQL publishes its counts with some delay.
    until("the index is used", || async {
        let found = app.authy.events().list(&query).await.unwrap().events;
        assert_eq!(found.iter().map(|event| event.subject).collect::<Vec<_>>(), [Some(user.id)]);
        sql.query_one(uses, &[]).await.unwrap().get::<_, i64>(0) > before
    })
    .await;
}
