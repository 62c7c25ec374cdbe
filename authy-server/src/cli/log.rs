//! The log of the program, on standard error: text on a terminal, otherwise JSON lines.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    config::{LogFormat, Settings},
    log::may_be_logged,
};

mod repetition;

pub(super) use repetition::Repetitions;

/// What a command logs beside what it prints: warnings and errors, and why a migration takes long, which is silent otherwise.
const QUIET: &str = "warn,authy_core::engine::storage::migrate=info";

/// Starts logging: what the settings say, or only what a command logs. The result reports what was left out of it.
pub(super) fn start(settings: &Settings, is_quiet: bool) -> Repetitions {
    let is_terminal = io::stderr().is_terminal();
    let format = settings.log_format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    let writer = match format {
        LogFormat::Text => fmt::layer().with_writer(io::stderr).with_ansi(is_terminal).boxed(),
        // With the request of a message, and not once more in a list.
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(io::stderr).boxed()
        }
    };
    let filter = match is_quiet {
        true => EnvFilter::new(QUIET),
        false => settings.log.build(),
    };
    let repetitions = Repetitions::default();
    // Fails when a log has been started already: then that one is kept.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(writer.with_filter(filter_fn(may_be_logged).and(repetitions.clone())))
        .try_init();
    repetitions
}
