//! Metrics: what the server counts, and the text that Prometheus reads.
//!
//! Counting a request takes four atomic additions. Everything else is read at the time of a scrape, from memory.

mod answer;
mod family;
mod process;
mod requests;
mod scrape;
mod server;

pub(crate) use answer::{answer, is_local};
pub(crate) use requests::{RouteMetrics, UNKNOWN_ROUTE, method_name};
pub(crate) use scrape::{Format, Scrape};
pub(crate) use server::{OpenConnection, ServerCounts};
