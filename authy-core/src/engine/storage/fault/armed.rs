//! Fault points that are compiled in. They are counted per track, so that the n-th point is the same one in every run.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::Poll,
};

use rustix::process::{Signal, getpid, kill_process};
use tokio::{sync::Semaphore, task::yield_now, task_local};

/// The kind of work that reaches a fault point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Track {
    /// The work for a request.
    Request,
    /// The delivery of events to the sinks.
    Relay,
    /// The maintenance.
    Maintenance,
    /// Following and publishing revocations. It runs on a timer, so its points have no reproducible number.
    Follow,
}

task_local! {
    static TRACK: Track;
    static HOLD: DangerousHold;
}

static DYING_TRACK: AtomicU8 = AtomicU8::new(0);
// The number of points until the process is killed; 0 when no kill is scheduled.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Kills this process with SIGKILL at the `nth` fault point of a track, counted from 1 and from now on. Writes the name
/// of the point to standard error first. For crash tests.
pub fn dangerous_die_at(track: Track, nth: u64) {
    DYING_TRACK.store(track as u8, Ordering::SeqCst);
    LEFT.store(nth, Ordering::SeqCst);
}

/// Holds work at a fault point until it is released, so that a test can act meanwhile.
#[derive(Clone, Debug)]
pub struct DangerousHold(Arc<Hold>);

#[derive(Debug)]
struct Hold {
    left: AtomicU64,
    reached: Semaphore,
    released: Semaphore,
}

impl DangerousHold {
    /// Creates a hold for the `nth` point, counted from 1.
    pub fn at(nth: u64) -> Self {
        Self(Arc::new(Hold { left: AtomicU64::new(nth), reached: Semaphore::new(0), released: Semaphore::new(0) }))
    }

    /// Returns the work, which stops at the point.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        HOLD.scope(self.clone(), work)
    }

    /// Waits until the work has reached the point.
    pub async fn reached(&self) {
        let _ = self.0.reached.acquire().await;
    }

    /// Lets the work continue.
    pub fn release(&self) {
        self.0.released.add_permits(1);
    }

    async fn pass(&self) {
        if self.0.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.reached.add_permits(1);
            let _ = self.0.released.acquire().await;
        }
    }
}

/// Waits while a test holds the current work.
async fn hold() {
    if let Ok(hold) = HOLD.try_with(Clone::clone) {
        hold.pass().await;
    }
}

/// A fault point.
pub(in crate::engine) fn point(name: &'static str) {
    if is_last() {
        die("at", name);
    }
}

/// Surrounds work of the database or of a sink with two points: one after the request was sent, when the result is
/// unknown, and one after the work was done, before its caller knows.
pub(in crate::engine) async fn around<F: Future>(name: &'static str, work: F) -> F::Output {
    hold().await;
    let mut work = pin!(work);
    if is_last() {
        poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await;
        // Lets the task of the connection write the contents of its queue.
        for _ in 0..4 {
            yield_now().await;
        }
        die("during", name);
    }
    let done = work.await;
    if is_last() {
        die("after", name);
    }
    hold().await;
    done
}

/// Runs work on a track.
pub(in crate::engine) fn on<F: Future>(track: Track, work: F) -> impl Future<Output = F::Output> {
    TRACK.scope(track, work)
}

/// Counts a point. Returns whether the process has to be killed at it.
fn is_last() -> bool {
    if LEFT.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let track = TRACK.try_with(|track| *track).unwrap_or(Track::Request);
    track as u8 == DYING_TRACK.load(Ordering::SeqCst) && LEFT.fetch_sub(1, Ordering::SeqCst) == 1
}

fn die(when: &str, name: &str) {
    eprintln!("killed {when} {name}");
    let _ = kill_process(getpid(), Signal::KILL);
}
