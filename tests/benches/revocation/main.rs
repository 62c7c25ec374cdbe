//! How quick a revocation is, what knowing of it costs, and what a refresh costs:
//! `cargo bench -p authy-tests --bench revocation`.
//!
//! Everything shares the machine, so only the ratios and the orders of magnitude mean anything elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod check;
mod propagation;
mod refresh;

fn main() {
    check::measure();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        propagation::measure().await;
        refresh::measure().await;
    });
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}
