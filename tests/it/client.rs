//! The client against a real server: what a program that uses it relies on.

mod follower;
mod on_behalf;
mod pages;
mod retries;
mod session;
mod settings;
mod trace_context;
