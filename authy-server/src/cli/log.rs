//! The log of the program, on standard error: text on a terminal, otherwise JSON lines.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    config::{LogFilter, LogFormat},
    log::may_be_logged,
};

/// Starts logging.
pub(super) fn start(filter: &LogFilter, format: Option<LogFormat>) {
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
