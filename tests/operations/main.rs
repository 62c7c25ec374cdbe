//! Slow tests of operations: what happens to a running system when its neighbours fail, measured in minutes. `make test` compiles
//! them, `make test-operations` runs them.
//!
//! Each slow test is `#[ignore = "operations: make test-operations"]`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]
#![allow(clippy::wildcard_imports, reason = "a test file uses what its subject has")]

mod balancer;
mod clocks;
mod full_disk;
mod monitoring;
mod nemesis;
mod partition;
mod patroni;
mod relay;
mod stopping;
