//! What a page costs: `cargo bench -p authy-tests --bench ui`.
//!
//! Prints for each page the time of a request and the CPU time of this process, which is that of the server, its driver of the
//! database, and the client; the database is another process. A page without a query shows what rendering alone costs. The
//! console, with the questions that it asks before something is done, is measured with 10,000 users and 100,000 events, and with
//! 1,000,000 users and their 2,000,000 events; in both a broker is away, so that 100,000 events wait for one sink, and deliveries
//! to two others are stuck or were given up. Then the files of events, and the memory of an idle server with the pages and without
//! them. A figure beyond its limit has `over` beside it. `UI_USERS=10000` measures with this number of users alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that fails panics"
)]

#[path = "../scale/fill.rs"]
mod fill;
mod memory;
mod pages;
mod visitor;

use std::time::{Duration, Instant};

use authy_server::Pages;
use authy_tests::{TestApp, credentials};
use rustix::time::{ClockId, clock_gettime};
use tokio_postgres::Client;

use visitor::Visitor;

/// The numbers of users.
const SIZES: [usize; 2] = [10_000, 1_000_000];

/// Minimum number of events.
const EVENTS: i64 = 100_000;

/// Number of events that wait for a sink which is away.
const BACKLOG: i64 = 100_000;

/// Number of deliveries that are stuck, and that were given up.
const STUCK: i64 = 10_000;

/// Maximum time of a page, and CPU time of one without a query, in milliseconds.
const MAX_PAGE: f64 = 100.0;
const MAX_RENDERING: f64 = 1.0;

/// Number of measurements of a page, after those that do not count. The median is printed.
const TIMES: usize = 51;
const WARM_UP: usize = 5;

fn main() {
    memory::run_as_server();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let chosen = std::env::var("UI_USERS").ok().map(|number| number.parse().unwrap());
    runtime.block_on(async {
        for users in SIZES.into_iter().filter(|users| chosen.is_none_or(|chosen: usize| chosen == *users)) {
            measure(users).await;
        }
        memory::compare().await;
    });
}

async fn measure(users: usize) {
    let app = TestApp::with(|_, http| http.pages = Some(Pages::new("http://auth.example").unwrap())).await;
    let root = app.superadmin().await;
    let sql = app.sql().await;
    let phc: String = sql.query_one("SELECT phc FROM authy.password", &[]).await.unwrap().get(0);
    fill::fill(&sql, users, &phc).await;
    add_events(&sql, users).await;
    add_sinks(&sql).await;
    sql.batch_execute("VACUUM ANALYZE").await.unwrap();
    let places = pages::places(&app, &sql).await;
    let tokens = app.anonymous().login(credentials(&root.username)).await.unwrap();
    let mut visitor = Visitor::open(app.address, tokens.token.expose()).await;

    println!("{users} users");
    println!("{:<40}{:>12}{:>12}{:>10}", "page", "ms", "CPU ms", "kB");
    for (name, path) in pages::PAGES {
        let path = places.iter().fold(path.to_owned(), |path, (place, text)| path.replace(place, text));
        let (mut times, mut length) = (Vec::new(), 0);
        for _ in 0..WARM_UP {
            visitor.get(&path).await;
        }
        let cpu = cpu_time();
        for _ in 0..TIMES {
            let begun = Instant::now();
            length = visitor.get(&path).await;
            times.push(begun.elapsed());
        }
        let cpu = ms((cpu_time() - cpu) / u32::try_from(TIMES).unwrap());
        times.sort();
        let median = ms(times[TIMES / 2]);
        let is_over = median > MAX_PAGE || name.ends_with("no query") && cpu > MAX_RENDERING;
        let over = if is_over { "  over" } else { "" };
        println!("{name:<40}{median:>12.2}{cpu:>12.2}{:>10.1}{over}", length as f64 / 1e3);
    }
    let events: i64 = sql.query_one("SELECT count(*) FROM authy.event", &[]).await.unwrap().get(0);
    for format in ["csv", "jsonl"] {
        let (begun, before) = (Instant::now(), memory::resident_of("self"));
        let length = visitor.get(&format!("/authy/ui/admin/events/export?format={format}")).await;
        let (took, grown) = (begun.elapsed().as_secs_f64(), memory::resident_of("self") - before);
        println!(
            "{events} events as {format}: {:.1} MB in {took:.1} s; memory grows by {grown:.1} MB",
            length as f64 / 1e6
        );
    }
}

/// Adds events of several kinds, until there are enough.
async fn add_events(sql: &Client, users: usize) {
    let known: i64 = sql.query_one("SELECT count(*) FROM authy.event", &[]).await.unwrap().get(0);
    let more = "INSERT INTO authy.event (event_id, kind, happened, origin, subject, ip, user_agent, request_id)
                SELECT gen_random_uuid(), (ARRAY['session.opened', 'session.refreshed', 'account.throttled'])[1 + n % 3],
                       now() - make_interval(secs => n / 2), 'user', public_id, '203.0.113.7', 'Mozilla/5.0', n::text
                FROM generate_series(1, $1::bigint) AS n
                JOIN (SELECT row_number() OVER () AS number, public_id FROM authy.users) AS someone
                  ON number = 1 + n % $2::bigint";
    let users = i64::try_from(users).unwrap();
    // At least some of the kind that is filtered by.
    sql.execute(more, &[&(EVENTS - known).max(EVENTS / 10), &users]).await.unwrap();
}

/// Adds a sink that is away, and others that take some events and refuse the rest.
async fn add_sinks(sql: &Client) {
    let cursors = "INSERT INTO authy.event_cursor (sink, epoch, seen, error)
                   SELECT sink, epoch, pg_current_snapshot(), CASE WHEN sink = 'rabbitmq' THEN 'connection refused' END
                   FROM authy.event_epoch, unnest(ARRAY['rabbitmq', 'mail', 'webhook']) AS sink";
    sql.batch_execute(cursors).await.unwrap();
    // In transactions after the position of the sink.
    let backlog = "INSERT INTO authy.event (event_id, kind, happened, origin)
                   SELECT gen_random_uuid(), 'session.opened', now(), 'stranger' FROM generate_series(1, $1::bigint)";
    sql.execute(backlog, &[&BACKLOG]).await.unwrap();
    let deliveries =
        "INSERT INTO authy.delivery (sink, event_id, happened, subject, state, attempts, next_attempt, error)
                      SELECT sink, event_id, happened, subject, state, attempts, now() + interval '1 hour',
                             CASE WHEN attempts > 0 THEN 'connection refused' END
                      FROM (SELECT event_id, happened, subject FROM authy.event
                            WHERE subject IS NOT NULL ORDER BY happened DESC LIMIT $1) AS known,
                           (VALUES ('mail', 'waiting', 3), ('webhook', 'given_up', 9)) AS kind (sink, state, attempts)";
    sql.execute(deliveries, &[&STUCK]).await.unwrap();
    let queued = "INSERT INTO authy.delivery (sink, event_id, happened, state)
                  SELECT 'webhook', gen_random_uuid(), now(), 'waiting' FROM generate_series(1, $1::bigint)";
    sql.execute(queued, &[&BACKLOG]).await.unwrap();
    let of_user = "INSERT INTO authy.delivery (sink, event_id, happened, subject, attempts, error)
                   SELECT 'mail', gen_random_uuid(), now(), public_id, 1, 'connection refused'
                   FROM authy.users, generate_series(1, 5) WHERE username_key = 'u-1'";
    sql.batch_execute(of_user).await.unwrap();
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns the CPU time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}
