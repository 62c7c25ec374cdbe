//! The log of the program, on standard error: text on a terminal, otherwise JSON lines.

use std::io::{self, IsTerminal as _};

use tracing::{Level, Metadata};
use tracing_subscriber::{Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{LogFilter, LogFormat};

/// Starts logging.
pub(crate) fn start(filter: &LogFilter, format: Option<LogFormat>) {
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    let writer = match format {
        LogFormat::Text => fmt::layer().with_writer(io::stderr).with_ansi(is_terminal).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    // Fails when a log has been started already: then that one is kept.
    let _ = tracing_subscriber::registry()
        .with(filter.build())
        .with(writer.with_filter(filter_fn(may_be_logged)))
        .try_init();
}

/// Returns whether a message may be logged. Messages of libraries that contain secrets may not, at any level of the
/// log.
///
/// The server's own log has this filter. A program that embeds the server and logs at `debug` or `trace` needs it as
/// well: `layer.with_filter(filter_fn(may_be_logged))`.
pub fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let loudest = match metadata.target() {
        // The driver writes the parameters of statements below this level, password hashes among them.
        target if target.starts_with("tokio_postgres") => Level::INFO,
        // Both log returned messages in full, and at the lowest level the password. The relay logs failures; a broker
        // that does not permit declarations is not a failure.
        target if target.starts_with("lapin") || target.starts_with("amq_protocol") => return false,
        // The command `migrate` prints what was applied.
        target if target.starts_with("refinery") => Level::WARN,
        _ => Level::TRACE,
    };
    *metadata.level() <= loudest
}
