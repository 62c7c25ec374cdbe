//! How quick the server is, as ratios in one run against this machine's own limits: `cargo bench -p authy-tests --bench
//! load`.
//!
//! `LOAD_ONLY` picks one part by its name.
//!
//! The limits are a bare hyper server that answers the same bytes, and the CPU seconds of one password hash (for a sign-up also
//! those of one estimate of its strength). wrk measures the token checks a second time, when it is installed (`scripts/deps
//! --benches`). Server, database and load share the machine, so only the ratios mean anything elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{env, os::unix::process::CommandExt as _, process::Command, time::Duration};

mod generator;
mod hash;
mod servers;
mod wrk;

use generator::{Load, Measured, hammer};
use servers::{AuthyServer, BareServer};

// As the server has it, for all that is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// As the program is deployed (deploy/authy.service): the memory of the hashes is in huge pages, here and in the server.
const HUGE_PAGES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// How long each figure is measured. `LOAD_SECONDS` makes it longer.
fn duration() -> Duration {
    Duration::from_secs(env::var("LOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(4))
}

fn main() -> Result {
    // glibc reads it at the start of a process.
    if env::var_os(HUGE_PAGES.0).is_none() {
        return Err(Command::new(env::current_exe()?)
            .args(env::args_os().skip(1))
            .env(HUGE_PAGES.0, HUGE_PAGES.1)
            .exec()
            .into());
    }
    // The servers are this program again, so that they are built as it is and their memory is their own.
    if let Some(role) = env::var_os("LOAD_ROLE") {
        return servers::run(&role);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result {
    let only = env::var("LOAD_ONLY").ok();
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let cores = std::thread::available_parallelism()?.get();
    let hash = hash::measure(cores);
    let limit = cores as f64 / hash.together;
    let (alone, together) = (hash.alone * 1e3, hash.together * 1e3);
    println!(
        "one hash: {alone:.1} CPU ms alone, {together:.1} CPU ms while all {cores} cores hash: the limit is {limit:.0}/s"
    );
    let sign_up_limit = cores as f64 / (hash.together + hash.estimate);
    let estimate = hash.estimate * 1e3;
    println!("one estimate of strength: {estimate:.1} CPU ms: the limit of sign-ups is {sign_up_limit:.0}/s\n");

    let authy = AuthyServer::start().await?;
    let memory = authy.memory()?;
    println!("memory of the server: {:.1} MB, {:.1} of it heap\n", memory.resident, memory.anonymous);
    println!("{:<12}{:>5}{:>12}{:>10}{:>10}{:>9}  ratio", "", "conn", "req/s", "p50 ms", "p99 ms", "MB");
    let token = authy.token().await?;
    for (name, request) in [("checkaccess", check(&token)), ("own user", own_user(&token))] {
        if !wanted(name) {
            continue;
        }
        let bare = BareServer::start(&authy.answer(&request).await?).await?;
        for connections in CONNECTIONS {
            let limit = hammer(bare.address, &Load::Same(request.clone()), connections, duration()).await?;
            let measured = hammer(authy.address, &Load::Same(request.clone()), connections, duration()).await?;
            let ratio = format!("{:.2} of bare hyper ({:.0} req/s)", measured.rate() / limit.rate(), limit.rate());
            print(name, connections, &measured, authy.megabytes()?, &ratio);
        }
    }
    if wanted("wrk") {
        check_by_wrk(&authy, &token).await?;
    }
    for (name, logins) in [("login", authy.logins()), ("login of one", Load::Same(authy.login()))] {
        for connections in CONNECTIONS.into_iter().filter(|_| wanted(name)) {
            let login = hammer(authy.address, &logins, connections, duration()).await?;
            print(name, connections, &login, authy.megabytes()?, &of_limit(&login, limit, "hash limit"));
        }
    }
    for connections in CONNECTIONS.into_iter().filter(|_| wanted("sign-up")) {
        let sign_up = hammer(authy.address, &Load::SignUp, connections, duration()).await?;
        let ratio = of_limit(&sign_up, sign_up_limit, "limit of hash and zxcvbn");
        print("sign-up", connections, &sign_up, authy.megabytes()?, &ratio);
    }
    if wanted("storm") { storm(&authy).await } else { Ok(()) }
}

/// Token checks as wrk measures them, and a bare hyper server that answers the same bytes.
async fn check_by_wrk(authy: &AuthyServer, token: &str) -> Result {
    if !wrk::is_installed().await {
        println!("wrk is not installed: scripts/deps --benches");
        return Ok(());
    }
    let path = "/authy/checkaccess/10";
    let bare = BareServer::start(&authy.answer(&get(path, token)).await?).await?;
    for connections in CONNECTIONS {
        let limit = wrk::rate(bare.address, path, token, connections, duration()).await?;
        let rate = wrk::rate(authy.address, path, token, connections, duration()).await?;
        let name = "by wrk";
        println!("{name:<12}{connections:>5}{rate:>12.0}  {:.2} of bare hyper ({limit:.0} req/s)", rate / limit);
    }
    Ok(())
}

/// Token checks, alone and while sixteen connections do nothing but log in.
async fn storm(authy: &AuthyServer) -> Result {
    println!("\ncheckaccess alone, and under a storm of 16 connections that log in:");
    for connections in CONNECTIONS {
        // A new one: the logins before may have ended the sessions of older ones, of which a user has a limited number.
        let token = authy.token().await?;
        let (checks, logins) = (Load::Same(check(&token)), authy.logins());
        let alone = hammer(authy.address, &checks, connections, duration()).await?;
        let (under, storm) = tokio::join!(
            hammer(authy.address, &checks, connections, duration()),
            hammer(authy.address, &logins, 16, duration()),
        );
        let (under, storm) = (under?, storm?);
        let ratio = under.p99() / alone.p99();
        println!(
            "{:<12}{connections:>5}  p99 {:.2} -> {:.2} ms, ratio {ratio:.1}; {:.0} -> {:.0} req/s, {:.0} logins/s meanwhile",
            "",
            alone.p99(),
            under.p99(),
            alone.rate(),
            under.rate(),
            storm.rate(),
        );
    }
    Ok(())
}

fn check(token: &str) -> Vec<u8> {
    get("/authy/checkaccess/99", token)
}

fn own_user(token: &str) -> Vec<u8> {
    get("/authy/user", token)
}

fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-access-token: {token}\r\n\r\n").into_bytes()
}

fn of_limit(measured: &Measured, limit: f64, name: &str) -> String {
    format!("{:.2} of the {name}", measured.rate() / limit)
}

fn print(name: &str, connections: usize, measured: &Measured, megabytes: f64, ratio: &str) {
    let (rate, p50, p99) = (measured.rate(), measured.p50(), measured.p99());
    println!("{name:<12}{connections:>5}{rate:>12.0}{p50:>10.2}{p99:>10.2}{megabytes:>9.1}  {ratio}");
    if measured.others > 0 {
        println!("{:<12}{:>5}  {} answers were no success, the last: {}", "", "", measured.others, measured.last_other);
    }
}
