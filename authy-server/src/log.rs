//! The log: to standard error, for people on a terminal and else a line of JSON each.

use std::io::{self, IsTerminal as _};

use tracing::{Level, Metadata};
use tracing_subscriber::{Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{Filter, LogFormat};

/// Begins to log.
pub(crate) fn start(filter: &Filter, format: Option<LogFormat>) {
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    let writer = match format {
        LogFormat::Text => fmt::layer().with_writer(io::stderr).with_ansi(is_terminal).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    // Fails when there is a log already: then that one stays.
    let _ = tracing_subscriber::registry()
        .with(filter.build())
        .with(writer.with_filter(filter_fn(may_be_logged)))
        .try_init();
}

/// Returns whether a message may be logged at all. Messages of libraries that contain secrets may not, whatever the level of the
/// log.
///
/// The server's own log has this filter. A program that embeds the server and logs at `debug` or `trace` needs it as well:
/// `layer.with_filter(filter_fn(may_be_logged))`.
pub fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let loudest = match metadata.target() {
        // The driver writes the parameters of statements below this level, password hashes among them.
        target if target.starts_with("tokio_postgres") => Level::INFO,
        // It writes messages that come back in full, and on the finest level the password. Failures are told by the relay; a
        // broker that lets us declare nothing is none.
        target if target.starts_with("lapin") || target.starts_with("amq_protocol") => return false,
        // What was applied, we say ourselves.
        target if target.starts_with("refinery") => Level::WARN,
        _ => Level::TRACE,
    };
    *metadata.level() <= loudest
}
