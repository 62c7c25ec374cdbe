//! What is there at the end: the audit trail, the users and sessions of the database, and the messages of the broker.

use std::time::Duration;

use authy_tests::{database, rabbit};
use tokio::time::{Instant, sleep};

use super::{
    history::{Event, History, SessionRow, UserRow},
    load::ROLE,
    world::World,
};

/// The queue that has every event.
const QUEUE: &str = "authy.audit";

/// How long the relay may take until everything is delivered: its longest pause between two attempts, and the attempts.
const DELIVERY: Duration = Duration::from_secs(90);

/// Reads what is there, once the broker has what the database has, or does not get it in time.
pub(super) async fn read(world: &World, history: &mut History) {
    history.noticed_loss = world.log_of_instances().contains("the database has gone back in time");
    let sql = database::connect(&world.databases.config()).await;
    let deadline = Instant::now() + DELIVERY;
    loop {
        history.trail = trail(&sql).await;
        for message in rabbit::take_all(&world.broker_url, QUEUE).await {
            let event: serde_json::Value = serde_json::from_slice(&message.data).unwrap();
            let field = |name: &str| event[name].as_str().map(str::to_owned);
            history.messages.push(Event {
                event_id: field("event_id").unwrap(),
                kind: field("kind").unwrap(),
                subject: field("subject"),
                request_id: field("request_id"),
            });
        }
        let is_there = |event: &Event| history.messages.iter().any(|message| message.event_id == event.event_id);
        if history.trail.iter().all(is_there) || Instant::now() > deadline {
            break;
        }
        sleep(Duration::from_millis(200)).await;
    }
    let users = "SELECT username, deleted_at IS NOT NULL, EXISTS (
                     SELECT FROM authy.user_role JOIN authy.role USING (role_id) WHERE user_id = public_id AND name = $1
                 ) FROM authy.users";
    for row in sql.query(users, &[&ROLE]).await.unwrap() {
        history.users.insert(row.get(0), UserRow { is_deleted: row.get(1), has_role: row.get(2) });
    }
    let sessions = "SELECT session_id::text, ended_at IS NOT NULL, generation FROM authy.session";
    for row in sql.query(sessions, &[]).await.unwrap() {
        let generation = row.get::<_, i64>(2).unsigned_abs();
        history.sessions.insert(row.get(0), SessionRow { has_ended: row.get(1), generation });
    }
}

async fn trail(sql: &tokio_postgres::Client) -> Vec<Event> {
    // From the first event on, which is older than the first start of an instance: the broker is there at that start.
    let trail = "SELECT event_id::text, kind, subject::text, request_id FROM authy.event ORDER BY happened";
    let rows = sql.query(trail, &[]).await.unwrap();
    let event = |row: &tokio_postgres::Row| Event {
        event_id: row.get(0),
        kind: row.get(1),
        subject: row.get(2),
        request_id: row.get(3),
    };
    rows.iter().map(event).collect()
}
