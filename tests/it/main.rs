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
mod capacity;
mod checks;
mod client;
mod clients;
mod compat;
mod connections;
mod crash;
mod defaults;
mod deployment;
mod documents;
mod drift;
mod embedding;
mod encodings;
mod events;
mod exhaustion;
mod failover;
mod followers;
mod fuzz;
mod going_back;
mod guard;
mod guessing;
mod hijack;
mod import;
mod inspection;
mod issued_token;
mod journey;
mod keys;
mod languages;
mod layers;
mod links;
mod listeners;
mod mail;
mod metrics;
mod migrations;
mod mounted;
mod names;
mod packages;
mod passwords;
mod pooler;
mod proxies;
mod readiness;
mod recovery;
mod refresh;
mod relay;
mod restore;
mod revocation;
mod robustness;
mod roles;
mod rotation;
mod schema;
mod scripts;
mod secrecy;
mod shadow;
mod start;
mod stopping;
mod stored;
mod swap;
mod tls;
mod tls_listener;
mod token_lifetime;
mod traces;
mod ui;
mod untrusted_input;
mod upgrade;
mod users;
mod vacuum;
mod webhook;
