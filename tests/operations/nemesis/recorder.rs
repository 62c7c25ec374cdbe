//! Records the history while it happens.

use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::history::{Fault, History, Micros, Operation, Sighting};

/// How late this process may be woken, at most, on a machine that is not busy.
const STALL: Duration = Duration::from_millis(300);

/// The history so far, and the clock of the run.
pub(super) struct Recorder {
    start: Instant,
    next: AtomicU64,
    history: Mutex<History>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), next: AtomicU64::new(0), history: Mutex::default() }
    }

    /// The time since the beginning of the run.
    pub(super) fn now(&self) -> Micros {
        micros(self.start.elapsed())
    }

    /// The number of the next operation.
    pub(super) fn next_operation(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn operation(&self, operation: Operation) {
        self.history().operations.push(operation);
    }

    pub(super) fn sightings(&self, sightings: impl IntoIterator<Item = Sighting>) {
        self.history().sightings.extend(sightings);
    }

    pub(super) fn fault(&self, fault: Fault) {
        self.history().faults.push(fault);
    }

    /// Notes when the machine does not let this process run in time. Does not return.
    pub(super) async fn watch_machine(&self) {
        const PAUSE: Duration = Duration::from_millis(100);
        loop {
            let began = self.now();
            sleep(PAUSE).await;
            if self.now() - began > micros(PAUSE + STALL) {
                self.history().stalls.push((began, self.now()));
            }
        }
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }
}

/// A duration in the unit of the history.
pub(super) fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap()
}
