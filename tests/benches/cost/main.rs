//! What each operation costs the database: `cargo bench -p authy-tests --bench cost`. docs/scaling.md and the example `capacity`
//! have the figures.
//!
//! Bytes and commits are the same on every machine; CPU times are not. `COST_USERS` is the number of users who do each of the
//! operations once, 5,000 when left out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that fails panics"
)]

use std::time::Duration;

use authy_tests::cost::{OPERATIONS, Primary};

// As the server has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let users = std::env::var("COST_USERS").map_or(5_000, |users| users.parse().unwrap());
        let primary = Primary::start().await;
        let costs = primary.measure(users).await;
        println!(
            "{:<16}{:>9}{:>12}{:>15}{:>13}{:>17}{:>15}",
            "", "commits", "WAL bytes", "stored bytes", "event bytes", "database CPU µs", "server CPU µs"
        );
        for (name, cost) in OPERATIONS.iter().zip(&costs) {
            println!(
                "{name:<16}{:>9.2}{:>12.0}{:>15.0}{:>13.0}{:>17.0}{:>15.0}",
                cost.commits,
                cost.wal_bytes,
                cost.stored_bytes,
                cost.event_bytes,
                cost.database_cpu.as_secs_f64() * 1e6,
                cost.server_cpu.as_secs_f64() * 1e6
            );
        }
        let megabytes = primary.connection_bytes() / 1e6;
        println!("\na connection has {megabytes:.1} MB of its own");
        let (transactions, cores) = primary.idle(Duration::from_secs(20)).await;
        println!("an idle server: {transactions:.1} transactions a second, {:.2} % of a core", cores * 100.0);
    });
}
