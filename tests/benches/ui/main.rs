//! What a page costs: `cargo bench -p authy-tests --bench ui`.
//!
//! Prints for each page the time of a request and the CPU time of this process, which is that of the server, its driver of the
//! database, and the client; the database is another process. A page without a query shows what rendering alone costs. The
//! console is measured with 10,000 users and 100,000 events. Then the files of events, and the memory of an idle server with
//! the pages and without them.

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
mod visitor;

use std::time::{Duration, Instant};

use authy_server::Pages;
use authy_tests::{TestApp, credentials};
use rustix::time::{ClockId, clock_gettime};

use visitor::Visitor;

const USERS: usize = 10_000;
const EVENTS: i64 = 100_000;

/// Number of measurements of a page, after those that do not count. The median is printed.
const TIMES: usize = 51;
const WARM_UP: usize = 5;

/// The pages: what they are, and their paths. `{id}` is that of a user.
const PAGES: [(&str, &str); 18] = [
    ("login: no query", "/authy/ui/login"),
    ("reference of events: no query", "/authy/docs/events"),
    ("account", "/authy/ui/account"),
    ("sessions", "/authy/ui/account/sessions"),
    ("overview", "/authy/ui/admin"),
    ("users", "/authy/ui/admin/users"),
    ("users, by prefix", "/authy/ui/admin/users?q=u-12"),
    ("users, deleted", "/authy/ui/admin/users?deleted=true"),
    ("users, of a role", "/authy/ui/admin/users?role=user"),
    ("a user", "/authy/ui/admin/users/{id}"),
    ("roles", "/authy/ui/admin/roles"),
    ("a role", "/authy/ui/admin/roles/user"),
    ("events", "/authy/ui/admin/events"),
    ("events, of a kind", "/authy/ui/admin/events?kind=account.throttled"),
    ("events, of a kind that there is not", "/authy/ui/admin/events?kind=issuer.changed"),
    ("events, of a user", "/authy/ui/admin/events?user={id}"),
    ("signing keys", "/authy/ui/admin/keys"),
    ("sinks", "/authy/ui/admin/sinks"),
];

fn main() {
    memory::run_as_server();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        pages().await;
        memory::compare().await;
    });
}

async fn pages() {
    let app = TestApp::with(|_, http| http.pages = Some(Pages::new("http://auth.example").unwrap())).await;
    let root = app.superadmin().await;
    let sql = app.sql().await;
    let phc: String = sql.query_one("SELECT phc FROM authy.password", &[]).await.unwrap().get(0);
    fill::fill(&sql, USERS, &phc).await;
    let known: i64 = sql.query_one("SELECT count(*) FROM authy.event", &[]).await.unwrap().get(0);
    let more = "INSERT INTO authy.event (event_id, kind, happened, origin, subject, ip, user_agent, request_id)
                SELECT gen_random_uuid(), (ARRAY['session.opened', 'session.refreshed', 'account.throttled'])[1 + n % 3],
                       now() - make_interval(secs => n / 2), 'user', public_id, '203.0.113.7', 'Mozilla/5.0', n::text
                FROM generate_series(1, $1::bigint) AS n
                JOIN (SELECT row_number() OVER () AS number, public_id FROM authy.users) AS someone
                  ON number = 1 + n % 10000";
    sql.execute(more, &[&(EVENTS - known)]).await.unwrap();
    sql.batch_execute("VACUUM ANALYZE").await.unwrap();
    let id = app.authy.users().find_id(&"u-5000".parse().unwrap()).await.unwrap().unwrap().to_string();
    let tokens = app.anonymous().login(credentials(&root.username)).await.unwrap();
    let mut visitor = Visitor::open(app.address, tokens.token.expose()).await;

    println!("{:<40}{:>12}{:>12}{:>10}", "page", "ms", "CPU ms", "kB");
    for (name, path) in PAGES {
        let path = path.replace("{id}", &id);
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
        let cpu = (cpu_time() - cpu) / u32::try_from(TIMES).unwrap();
        times.sort();
        println!("{name:<40}{:>12.2}{:>12.2}{:>10.1}", ms(times[TIMES / 2]), ms(cpu), length as f64 / 1e3);
    }
    for format in ["csv", "jsonl"] {
        let (begun, before) = (Instant::now(), memory::resident_of("self"));
        let length = visitor.get(&format!("/authy/ui/admin/events/export?format={format}")).await;
        let (took, grown) = (begun.elapsed().as_secs_f64(), memory::resident_of("self") - before);
        println!(
            "{EVENTS} events as {format}: {:.1} MB in {took:.1} s; memory grows by {grown:.1} MB",
            length as f64 / 1e6
        );
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns the CPU time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}
