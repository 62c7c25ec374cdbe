//! The dearest query of each GET, against the same GET without one.

use std::{collections::BTreeSet, time::Duration};

use authy_core::api::{self, Endpoint, Info, Method, Request as _, Visitor};

use crate::server::{BenchAccount, BenchServer, Connection, fresh_address, get};

/// As long as a URI can be, nearly.
const LENGTH: usize = 60_000;

/// How often each is asked; the least counts.
const TIMES: u32 = 5;

/// How many users there are besides: enough that a scan of all shows.
const USERS: i32 = 50_000;

/// The GETs, each with the names in its query.
#[derive(Default)]
struct Gets(Vec<(&'static Info, &'static [&'static str])>);

impl Visitor for Gets {
    fn visit<E: Endpoint>(&mut self) {
        if E::INFO.method == Method::GET {
            self.0.push((const { &E::INFO }, E::Request::FIELDS));
        }
    }
}

/// What one request cost.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    took: Duration,
    status: u16,
}

pub(crate) async fn measure(server: &BenchServer) {
    let sql = server.sql().await;
    sql.execute(
        "INSERT INTO authy.users (public_id, username, username_key, email, email_key)
         SELECT gen_random_uuid(), name, name, name || '@example.org', name || '@example.org'
         FROM (SELECT 'crowd-' || n AS name FROM generate_series(1, $1::int) n) crowd",
        &[&USERS],
    )
    .await
    .unwrap();
    sql.batch_execute("ANALYZE authy.users").await.unwrap();
    let account = server.account("superadmin").await;
    let mut connection = server.connect().await;
    println!("the dearest query of each GET, {USERS} users; CPU of the server without its database, least of {TIMES}:");
    println!(
        "{:<42}{:>12}{:>12}{:>8}{:>11}{:>11}",
        "", "plain CPU us", "dearest us", "ratio", "plain ms", "dearest ms"
    );
    let mut gets = Gets::default();
    api::visit(&mut gets);
    for (info, fields) in gets.0 {
        // That one is measured by itself.
        if info.path == "/authy/user/export" {
            continue;
        }
        let path = filled(info, &account);
        let plain = cost(server, &mut connection, &account, &path).await;
        let mut dearest = (String::from("none"), plain);
        for (name, query) in queries(fields) {
            let measured = cost(server, &mut connection, &account, &format!("{path}?{query}")).await;
            if measured.cpu > dearest.1.cpu {
                dearest = (name, measured);
            }
        }
        let (name, cost) = dearest;
        let (us, ms) = (|time: Duration| time.as_secs_f64() * 1e6, |time: Duration| time.as_secs_f64() * 1e3);
        println!(
            "{:<42}{:>12.0}{:>12.0}{:>8.1}{:>11.2}{:>11.2}  {} {name}",
            info.path,
            us(plain.cpu),
            us(cost.cpu),
            us(cost.cpu) / us(plain.cpu),
            ms(plain.took),
            ms(cost.took),
            cost.status,
        );
    }
}

async fn cost(server: &BenchServer, connection: &mut Connection, account: &BenchAccount, path: &str) -> Cost {
    let mut least: Option<Cost> = None;
    for _ in 0..TIMES {
        let before = server.used().cpu;
        let answered = connection.ask(get(path, account), &fresh_address(), "").await;
        let cpu = server.used().cpu.saturating_sub(before);
        let cost = Cost { cpu, took: answered.took, status: answered.status };
        if least.is_none_or(|least| cost.cpu < least.cpu) {
            least = Some(cost);
        }
    }
    least.unwrap()
}

/// The path with the parameters of a user who exists.
fn filled(info: &Info, account: &BenchAccount) -> String {
    info.path
        .replace("{public_id}", &account.id.to_string())
        .replace("{username}", &account.username)
        .replace("{role_name}", "user")
        .replace("{level}", "99")
        .replace("{code}", "AAAAAAAAAAAAAAAAAAAAAA")
}

/// Queries that may cost much, each with a name: long ones for every endpoint, and for those with fields what makes the
/// database work.
fn queries(fields: &[&str]) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    let mut add = |name: &str, query: String| queries.push((name.to_owned(), query));
    let long = |part: &dyn Fn(usize) -> String| {
        let mut query = String::new();
        let mut number = 0;
        while query.len() < LENGTH {
            query.push_str(&part(number));
            number += 1;
        }
        query
    };
    add("names that differ", long(&|n| format!("n{n}&")));
    add("names twice", long(&|n| format!("n{n}&n{n}&")));
    add("one name", "a&".repeat(LENGTH / 2));
    add("a long value", format!("a={}", "%C3%A4".repeat(LENGTH / 6)));
    let known: BTreeSet<_> = fields.iter().copied().collect();
    let own = [
        "per_page=100",
        "page=100&per_page=100",
        "page=100000",
        "limit=100",
        "q=crowd&per_page=100",
        "q=crowd-4999&per_page=100",
        "q=%25%25%25",
        "q=zzzz",
        "order=asc&since=Tue,%2011%20Jun%202019%2010:03:09%20GMT&limit=100",
        "deleted=true",
        "role=user",
        "kind=key.revoked&limit=100",
        "after=1-2",
    ];
    for query in own {
        if query.split('&').all(|pair| pair.split_once('=').is_some_and(|(name, _)| known.contains(name))) {
            add(query, query.to_owned());
        }
    }
    if known.contains("q") {
        add("q, long", format!("q={}", "a".repeat(LENGTH)));
        add("q, marks", format!("q={}", "%CC%81%CC%96".repeat(LENGTH / 12)));
    }
    queries
}
