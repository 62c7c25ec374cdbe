//! The progress of a command that takes long, on standard error.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// Interval of the lines where they cannot replace each other.
const INTERVAL: Duration = Duration::from_secs(10);

/// One line that is replaced on a terminal, and otherwise a line from time to time.
pub(super) struct ProgressLine {
    is_terminal: bool,
    started: Instant,
    shown: Option<Instant>,
}

impl ProgressLine {
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), started: Instant::now(), shown: None }
    }

    /// Shows how far it is, when a line is due. `text` gets the seconds since the start.
    pub(super) fn show(&mut self, is_last: bool, text: impl FnOnce(u64) -> String) {
        let is_due = self.is_terminal || self.shown.is_none_or(|shown| shown.elapsed() >= INTERVAL);
        if !is_due && !is_last {
            return;
        }
        self.shown = Some(Instant::now());
        let text = text(self.started.elapsed().as_secs());
        // A reader that has gone is no reason to stop.
        let _ = match self.is_terminal {
            true => write!(io::stderr(), "\r\x1b[K{text}"),
            false => writeln!(io::stderr(), "{text}"),
        };
    }

    pub(super) fn end(&self) {
        if self.is_terminal && self.shown.is_some() {
            let _ = writeln!(io::stderr());
        }
    }
}
