//! No change without its event: who, whom, what, when, and from where.

use authy_core::{
    Level,
    api::{role::NewRole, user::Deletion},
};
use authy_tests::{House, PASSWORD, Person, new_user, until};
use serde_json::Value;
use uuid::Uuid;

struct Told {
    kind: String,
    origin: String,
    actor: Option<Uuid>,
    subject: Option<Uuid>,
    session: Option<Uuid>,
    ip: Option<std::net::IpAddr>,
    request_id: Option<String>,
    detail: Value,
}

async fn last(house: &House) -> Told {
    let row = house.sql().await;
    let row = row
        .query_one(
            "SELECT kind, origin, actor, subject, session_id, ip, request_id, detail FROM authy.event
             ORDER BY happened DESC, event_id DESC LIMIT 1",
            &[],
        )
        .await
        .unwrap();
    Told {
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

async fn assert_last(house: &House, kind: &str, actor: Option<&Person>, subject: Option<Uuid>) -> Told {
    let told = last(house).await;
    assert_eq!(told.kind, kind);
    assert_eq!((told.actor, told.subject), (actor.map(|person| *person.id.as_uuid()), subject), "{kind}");
    assert_eq!(told.origin, if actor.is_some() { "user" } else { "stranger" }, "{kind}");
    assert_eq!(told.ip, Some("127.0.0.1".parse().unwrap()), "{kind}");
    assert!(told.request_id.is_some(), "{kind}");
    told
}

#[tokio::test]
async fn every_change_tells_who_did_what_to_whom() {
    let house = House::new().await;
    let (root, person) = (house.superadmin().await, house.user().await);
    let id = Some(*person.id.as_uuid());
    let told = assert_last(&house, "session.opened", None, id).await;
    assert!(told.session.is_some());

    let registered = house.nobody().register(new_user("ada")).await.unwrap().public_id;
    assert_last(&house, "user.registered", None, Some(*registered.as_uuid())).await;

    let role = NewRole {
        name: "auctioneer".parse().unwrap(),
        description: "Opens auctions".parse().unwrap(),
        level: Level::clamped(7),
    };
    let name = role.name.clone();
    root.client.create_role(role).await.unwrap();
    assert_last(&house, "role.created", Some(&root), None).await;
    root.client.grant_role(name.clone(), person.id).await.unwrap();
    let told = assert_last(&house, "role.granted", Some(&root), id).await;
    assert_eq!(told.detail["role"], "auctioneer");
    root.client.revoke_role(name.clone(), person.id).await.unwrap();
    assert_last(&house, "role.revoked", Some(&root), id).await;
    root.client.delete_role(name).await.unwrap();
    assert_last(&house, "role.deleted", Some(&root), None).await;

    let again = house.again(&person).await;
    again.client.logout().await.unwrap();
    assert_last(&house, "session.ended", Some(&again), id).await;
    let again = house.again(&person).await;
    again.client.end_other_sessions().await.unwrap();
    assert_last(&house, "sessions.ended", Some(&again), id).await;
    root.client.end_user_sessions(person.id).await.unwrap();
    assert_last(&house, "sessions.ended", Some(&root), id).await;
    root.client.delete_user(person.id, Deletion::PLAIN).await.unwrap();
    assert_last(&house, "user.deleted", Some(&root), id).await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_tells_nothing() {
    let house = House::new().await;
    let (admin, root) = (house.admin().await, house.superadmin().await);
    let count = || async {
        let sql = house.sql().await;
        sql.query_one("SELECT count(*) FROM authy.event", &[]).await.unwrap().get::<_, i64>(0)
    };
    let before = count().await;
    admin.client.delete_user(root.id, Deletion::PLAIN).await.unwrap_err();
    admin.client.grant_role("superadmin".parse().unwrap(), admin.id).await.unwrap_err();
    house.nobody().register(new_user(&admin.username)).await.unwrap_err();
    house.nobody().login(authy_tests::credentials("nobody-at-all")).await.unwrap_err();
    assert_eq!(count().await, before);
}

#[tokio::test]
async fn nothing_secret_is_in_the_database() {
    let house = House::new().await;
    let person = house.user().await;
    person.client.get_self().await.unwrap();
    house
        .nobody()
        .refresh(authy_core::api::session::RefreshToken { refresh_token: person.refresh_token.clone() })
        .await
        .unwrap();
    let sql = house.sql().await;
    let tables = sql.query("SELECT tablename FROM pg_tables WHERE schemaname = 'authy'", &[]).await.unwrap();
    assert!(tables.len() > 8);
    for table in tables {
        let table: String = table.get(0);
        let rows = sql.query(&format!("SELECT t::text FROM authy.{table} t"), &[]).await.unwrap();
        for row in rows {
            let row: String = row.get(0);
            for secret in [PASSWORD, person.token.expose(), person.refresh_token.expose()] {
                assert!(!row.contains(secret), "{table}: {row}");
            }
        }
    }
    until("the server is still there", || async { house.nobody().get_status().await.is_ok() }).await;
}
