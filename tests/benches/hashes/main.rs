//! The CPU time of the first login for each format of imported hashes: `cargo bench -p authy-tests --bench hashes`.
//!
//! The hashes have the default costs of the libraries that made them. The login is measured over HTTP, with the server in
//! this process: client and server are a part of the time, which the first line shows; PostgreSQL is not. A wrong password
//! costs as much as the right one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{collections::BTreeMap, process::Command, time::Duration};

use authy_core::{Secret, api::session::Credentials, engine::Argon2Params};
use authy_tests::{TestApp, new_user, tools};
use rustix::time::{ClockId, clock_gettime};

// As the server has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PASSWORD: &str = "correct horse battery staple";

/// Logins that are measured per hash; the least one counts.
const TIMES: usize = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let app = TestApp::with(|config, _| config.hash.argon2 = Argon2Params::default()).await;
    app.anonymous().register(new_user("ada")).await.unwrap();
    let sql = app.sql().await;
    let log_in = async || {
        let before = process_time();
        app.anonymous().login(Credentials::new("ada", Secret::new(PASSWORD))).await.unwrap();
        process_time() - before
    };
    let mut hashes: Vec<_> = hashes().into_iter().collect();
    // The first login replaces it by a hash of today, whose login is the measure of the others.
    sql.execute("UPDATE authy.password SET phc = $1", &[&hashes[0].1]).await.unwrap();
    log_in().await;
    let row = sql.query_one("SELECT phc FROM authy.password", &[]).await.unwrap();
    hashes.insert(0, ("(a hash of today)".to_owned(), row.get(0)));
    let mut usual = None;
    println!("{:<28}{:>10}  of a usual login", "first login", "CPU ms");
    for (format, hash) in hashes {
        let mut least = Duration::MAX;
        for _ in 0..TIMES {
            sql.execute("UPDATE authy.password SET phc = $1", &[&hash]).await.unwrap();
            least = least.min(log_in().await);
        }
        let milliseconds = least.as_secs_f64() * 1e3;
        let usual = *usual.get_or_insert(milliseconds);
        println!("{format:<28}{milliseconds:>10.1}  {:.1} times", milliseconds / usual);
    }
}

/// Hashes with the default costs of their libraries.
fn hashes() -> BTreeMap<String, String> {
    let script = tools::root().join("tests/harness/foreign_hashes.py");
    let output = Command::new(tools::python()).arg(script).args(["--usual-costs", PASSWORD]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
