//! The shop, tested from outside on a PostgreSQL of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod customer;
mod harness;
mod order;
mod program;
