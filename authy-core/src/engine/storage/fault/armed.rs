//! The points when they are compiled in. Counted per track, so that the n-th one is the same one in every run.

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

/// Who comes by a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Track {
    /// Whoever answers a request.
    Request,
    /// Who tells the sinks.
    Relay,
    /// Who looks after the house.
    Maintenance,
    /// Who follows what becomes void, or tells others of it. They ask as often as the clock says, so there is no n-th time.
    Follow,
}

task_local! {
    static TRACK: Track;
    static HOLD: DangerousHold;
}

static DYING_TRACK: AtomicU8 = AtomicU8::new(0);
// How many points are left to live for; nobody dies while it is 0.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Kills this process with SIGKILL at the `nth` point, from 1, that anybody on that track comes by from now on, and writes the
/// name of the point to standard error before. For tests of crashes.
pub fn dangerous_die_at(track: Track, nth: u64) {
    DYING_TRACK.store(track as u8, Ordering::SeqCst);
    LEFT.store(nth, Ordering::SeqCst);
}

/// Holds work at a point until it is released, so that a test can do something meanwhile.
#[derive(Clone, Debug)]
pub struct DangerousHold(Arc<Hold>);

#[derive(Debug)]
struct Hold {
    left: AtomicU64,
    reached: Semaphore,
    released: Semaphore,
}

impl DangerousHold {
    /// Holds at the `nth` point, from 1.
    pub fn at(nth: u64) -> Self {
        Self(Arc::new(Hold { left: AtomicU64::new(nth), reached: Semaphore::new(0), released: Semaphore::new(0) }))
    }

    /// The work, which is held.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        HOLD.scope(self.clone(), work)
    }

    /// Waits until the work has come to the point.
    pub async fn reached(&self) {
        let _ = self.0.reached.acquire().await;
    }

    /// Lets the work go on.
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

/// Waits while a test holds the work that comes by.
async fn hold() {
    if let Ok(hold) = HOLD.try_with(Clone::clone) {
        hold.pass().await;
    }
}

/// A point.
pub(in crate::engine) fn point(name: &'static str) {
    if is_last() {
        die("at", name);
    }
}

/// Work of the database's or of a sink's: a point when it was asked for and nobody knows yet what came of it, and one when it
/// was done and nobody has been told.
pub(in crate::engine) async fn around<F: Future>(name: &'static str, work: F) -> F::Output {
    hold().await;
    let mut work = pin!(work);
    if is_last() {
        poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await;
        // The task of the connection takes a turn to write what was put into its queue.
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

/// Work that is done on a track of its own.
pub(in crate::engine) fn on<F: Future>(track: Track, work: F) -> impl Future<Output = F::Output> {
    TRACK.scope(track, work)
}

/// Counts a point; whether it is the last one.
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
