//! What an anonymous request costs at worst, each against an ordinary request in the same run:
//! `cargo bench -p authy-tests --bench abuse`.
//!
//! The server is a process of its own with its settings as they come, behind a proxy that it trusts: that is this
//! program, so that a request can come from any address. `ABUSE_ONLY` picks one part by its name: `query`, `storm`,
//! `streams`, `export`. Nothing leaves the loopback interface, each part is bounded in time, and what is started is
//! ended.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::env;

mod export;
mod query;
mod server;
mod storm;
mod streams;

use server::BenchServer;

// As the server has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    // The server is this program again, so that it is built as it is and its memory is its own.
    if env::var_os("ABUSE_ROLE").is_some() {
        std::process::exit(i32::from(authy_server::cli::main() != std::process::ExitCode::SUCCESS));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let only = env::var("ABUSE_ONLY").ok();
        let wanted = |name: &str| only.as_ref().is_none_or(|only| name == only);
        let server = BenchServer::start().await;
        if wanted("query") {
            query::measure(&server).await;
        }
        if wanted("export") {
            export::measure(&server).await;
        }
        if wanted("storm") {
            storm::measure(&server).await;
        }
        if wanted("streams") {
            streams::measure(&server).await;
        }
        server.stop().await;
    });
}
