//! The signals that the program reacts to.

use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM stop the server, and so does SIGHUP when the terminal that it was started at has been closed. Otherwise SIGHUP
/// makes it read files again.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    was_interactive: bool,
}

impl Signals {
    /// Begins to listen for the signals, which from now on no longer end the process.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            was_interactive: is_interactive(),
        })
    }

    /// Returns when the server is to stop. Calls `reload` for each SIGHUP.
    pub(super) async fn stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                // Also sent when the terminal is closed, of which then nothing can be asked (EIO).
                _ = self.hangup.recv() => match self.was_interactive && !is_interactive() {
                    true => return,
                    false => reload(),
                }
            }
        }
    }
}

/// Returns whether somebody at a terminal has started the program and waits for its end.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal()
}
