//! Fills a database with users, as a service of their number has them: each with a password, a role, a session and two events.

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::Client;
use uuid::Uuid;

/// The time of the first sign-up, in seconds since 1970: the end of 2022. One user signs up each ten seconds.
const FIRST: u64 = 1_670_000_000;

/// Number of rows that are sent at once.
const CHUNK: usize = 10_000;

/// One in this many users is deleted, another one has not confirmed the address.
const RARE: usize = 1000;

/// The ID of a user, as random as a real one.
fn id(number: usize) -> Uuid {
    let mixed = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    uuid::Builder::from_random_bytes(mixed.to_le_bytes()).into_uuid()
}

/// Adds users `u-0` and so on, with the hash of a password.
pub(crate) async fn fill(sql: &Client, users: usize, phc: &str) {
    let role: i32 = sql.query_one("SELECT role_id FROM authy.role WHERE name = 'user'", &[]).await.unwrap().get(0);
    copy(
        sql,
        "users (public_id, username, username_key, email, email_key, created, validated_at, deleted_at)",
        users,
        |n| {
            let (id, created) = (id(n), time(n));
            let confirmed = if n % RARE == 7 { "\\N" } else { &created };
            let deleted = if n % RARE == 3 { &created } else { "\\N" };
            format!("{id}\tu-{n}\tu-{n}\tu-{n}@example.org\tu-{n}@example.org\t{created}\t{confirmed}\t{deleted}\n")
        },
    )
    .await;
    copy(sql, "password (user_id, phc)", users, |n| format!("{}\t{phc}\n", id(n))).await;
    copy(sql, "user_role (user_id, role_id, granted)", users, |n| format!("{}\t{role}\t{}\n", id(n), time(n))).await;
    copy(sql, "session (session_id, user_id, created, last_used, expires, access_until)", users, |n| {
        let (user, session, now) = (id(n), id(usize::MAX - n), time(n));
        format!("{session}\t{user}\t{now}\t{now}\t2100-01-01 00:00:00 UTC\t{now}\n")
    })
    .await;
    // Of the two most frequent kinds, and all of this month, whose partition exists.
    let month = "SELECT extract(epoch FROM date_trunc('month', now()))::bigint, extract(epoch FROM now())::bigint";
    let month = sql.query_one(month, &[]).await.unwrap();
    let [begin, end] = [0, 1].map(|column| month.get::<_, i64>(column).unsigned_abs() * 1_000_000);
    let step = (end - begin) / (2 * users as u64);
    copy(sql, "event (event_id, happened, kind, origin, subject, actor)", 2 * users, |n| {
        let (user, event) = (id(n / 2), id(usize::MAX / 2 - n));
        let kind = if n % 2 == 0 { "session.opened" } else { "session.refreshed" };
        format!("{event}\t{}\t{kind}\tuser\t{user}\t{user}\n", text(begin + step * n as u64))
    })
    .await;
    for command in ["VACUUM ANALYZE", "CHECKPOINT"] {
        sql.batch_execute(command).await.unwrap();
    }
}

/// The time of a sign-up.
fn time(number: usize) -> String {
    text((FIRST + 10 * number as u64) * 1_000_000)
}

/// Microseconds since 1970, as PostgreSQL reads them: the Julian day, and the time of the day.
fn text(micros: u64) -> String {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (day, second) = (2_440_588 + seconds / 86_400, seconds % 86_400);
    format!("J{day} {:02}:{:02}:{:02}.{micros:06} UTC", second / 3600, second / 60 % 60, second % 60)
}

async fn copy(sql: &Client, table: &str, rows: usize, row: impl Fn(usize) -> String) {
    let sink = sql.copy_in(&format!("COPY authy.{table} FROM STDIN")).await.unwrap();
    let mut sink = std::pin::pin!(sink);
    let numbers: Vec<usize> = (0..rows).collect();
    for chunk in numbers.chunks(CHUNK) {
        sink.send(Bytes::from(chunk.iter().map(|number| row(*number)).collect::<String>())).await.unwrap();
    }
    sink.finish().await.unwrap();
}
