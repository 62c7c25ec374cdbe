//! Logins from all networks of one /48, and what an honest login elsewhere sees of it.

use std::{
    net::Ipv6Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use authy_tests::PASSWORD;
use http::Request;
use tokio::task::JoinSet;

use crate::server::{BenchAccount, BenchServer, Connection, TimedAnswer, fresh_address, get};

/// More than may wait to be hashed, with two threads.
const CONNECTIONS: usize = 256;

/// How long each figure is measured.
const DURATION: Duration = Duration::from_secs(12);

/// What the storm was answered.
#[derive(Default)]
struct Storm {
    over: AtomicBool,
    hashed: AtomicU64,
    limited: AtomicU64,
    overloaded: AtomicU64,
}

pub(crate) async fn measure(server: &BenchServer) {
    let account = server.account("user").await;
    println!("\na login storm of {CONNECTIONS} connections from one /48, each request from another /64:");
    honest(server, &account, "alone", DURATION / 3).await;
    let storm = Arc::new(Storm::default());
    let mut attackers = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (connection, storm) = (server.connect().await, storm.clone());
        attackers.spawn(attack(connection, number, storm));
    }
    honest(server, &account, "during the storm", DURATION).await;
    storm.over.store(true, Ordering::Relaxed);
    attackers.join_all().await;
    let rate = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64 / DURATION.as_secs_f64();
    println!(
        "  the storm: {:.0}/s hashed, {:.0}/s answered 429, {:.0}/s answered 503",
        rate(&storm.hashed),
        rate(&storm.limited),
        rate(&storm.overloaded)
    );
}

async fn attack(mut connection: Connection, number: usize, storm: Arc<Storm>) {
    let mut round = 0_u64;
    while !storm.over.load(Ordering::Relaxed) {
        // The networks of 2001:db8:1::/48 in turn, none of them often enough to reach its own limit.
        let network = (round * CONNECTIONS as u64 + number as u64) % 65_536;
        let from = Ipv6Addr::from_bits(0x2001_0db8_0001 << 80 | u128::from(network) << 64 | u128::from(round));
        let name = format!("unknown-{number}-{round}");
        let answered = login(&mut connection, &from.to_string(), &name).await;
        let count = match answered.status {
            429 => &storm.limited,
            503 => &storm.overloaded,
            _ => &storm.hashed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        round += 1;
    }
}

/// Logins with the right password and token checks, one after the other, each from an address of its own.
async fn honest(server: &BenchServer, account: &BenchAccount, when: &str, duration: Duration) {
    let (mut logins, mut checks, mut refused) = (Vec::new(), Vec::new(), 0);
    let mut connection = server.connect().await;
    let begun = Instant::now();
    while begun.elapsed() < duration {
        let answered = login(&mut connection, &fresh_address(), &account.username).await;
        match answered.status {
            200 => logins.push(answered.took),
            _ => refused += 1,
        }
        let check = get("/authy/checkaccess/99", account);
        checks.push(connection.ask(check, &fresh_address(), "").await.took);
        // As people do: not the next one at once, when there was no place.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "  honest logins {when:<17} {} succeeded, {refused} refused; {}; token checks {}",
        logins.len(),
        quantiles(&mut logins),
        quantiles(&mut checks)
    );
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else { return "none".to_owned() };
    let ms = |index: usize| times[index.min(last)].as_secs_f64() * 1e3;
    format!("p50 {:.1} ms, p99 {:.1} ms", ms(times.len() / 2), ms(times.len() * 99 / 100))
}

async fn login(connection: &mut Connection, from: &str, username: &str) -> TimedAnswer {
    let body = format!(r#"{{"username":"{username}","password":"{PASSWORD}"}}"#);
    connection.ask(Request::post("/authy/login").header("content-type", "application/json"), from, &body).await
}
