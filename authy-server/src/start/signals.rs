//! The signals that the program reacts to.

use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM stop the server, SIGHUP makes it read files again.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen for the signals, which from now on no longer end the process.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the server is to stop. Calls `reload` for each SIGHUP.
    pub(super) async fn stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => match is_interactive() {
                    // The terminal has been closed.
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
