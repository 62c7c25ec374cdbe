//! Tests of the whole system: a real server, its client, and a real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]
#![allow(clippy::wildcard_imports, reason = "a test file uses what its subject has")]

mod access;
mod access_log;
mod account;
mod amqp;
mod authority;
mod axum;
mod background;
mod browser;
mod client;
mod clients;
mod crash;
mod documents;
mod drift;
mod embedding;
mod events;
mod exhaustion;
mod failover;
mod followers;
mod fuzz;
mod guard;
mod guessing;
mod hijack;
mod journey;
mod keys;
mod languages;
mod layers;
mod links;
mod mail;
mod metrics;
mod mounted;
mod names;
mod packages;
mod passwords;
mod proxies;
mod refresh;
mod relay;
mod restore;
mod revocation;
mod robustness;
mod roles;
mod rotation;
mod schema;
mod secrecy;
mod swap;
mod tls;
mod token_lifetime;
mod untrusted_input;
mod users;
mod vacuum;
mod webhook;
