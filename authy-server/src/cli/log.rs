//! The log of the program, on standard error: text on a terminal, otherwise JSON lines.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{
    Layer as _,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    config::{LogFilter, LogFormat},
    log::may_be_logged,
};

mod repetition;

pub(super) use repetition::Repetitions;

/// Starts logging. The result reports what was left out of it.
pub(super) fn start(filter: &LogFilter, format: Option<LogFormat>) -> Repetitions {
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    let writer = match format {
        LogFormat::Text => fmt::layer().with_writer(io::stderr).with_ansi(is_terminal).boxed(),
        // With the request of a message, and not once more in a list.
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(io::stderr).boxed()
        }
    };
    let repetitions = Repetitions::default();
    // Fails when a log has been started already: then that one is kept.
    let _ = tracing_subscriber::registry()
        .with(filter.build())
        .with(writer.with_filter(filter_fn(may_be_logged).and(repetitions.clone())))
        .try_init();
    repetitions
}
