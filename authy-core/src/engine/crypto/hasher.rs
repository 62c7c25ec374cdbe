//! The threads that passwords are hashed on, and the queue in front of them.
//!
//! A hash takes tens of milliseconds of one core. On a worker of the async runtime it would hold up every other
//! request of that worker, so it runs here: on a few threads of lowered priority, behind a queue that refuses work
//! at once when it is full and forgets work whose caller has gone.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{Error, ErrorKind, Result, engine::crypto::hash_config::HashConfig};

mod queue;
mod workspace;

pub(in crate::engine) use queue::Asker;
use queue::{Line, Lines};
pub(in crate::engine) use workspace::Workspace;

/// Threads of lowered priority that hash passwords, in the order of [`queue`]. They end when this is dropped.
pub(in crate::engine) struct Hasher {
    shared: Arc<Shared>,
}

impl Hasher {
    /// Starts the threads. Each keeps the memory of one hash, once it has needed it, and wipes it when there is nothing to
    /// hash.
    ///
    /// # Errors
    /// `internal` when a thread cannot be started.
    pub(in crate::engine) fn start(config: &HashConfig) -> Result<Self> {
        Self::start_with(config, DEADLINE)
    }

    fn start_with(config: &HashConfig, deadline: Duration) -> Result<Self> {
        let threads = config.threads.max(1);
        let hasher = Self {
            shared: Arc::new(Shared {
                threads,
                deadline,
                hashes: Arc::default(),
                wake: Condvar::new(),
                state: Mutex::new(State {
                    open: true,
                    lines: Lines::new(config.queue.max(1)),
                    running: 0,
                    next_id: 0,
                    mean: FIRST_GUESS,
                }),
            }),
        };
        for _ in 0..threads {
            let shared = Arc::clone(&hasher.shared);
            let workspace = Workspace::new(config.argon2.m_cost(), Arc::clone(&shared.hashes));
            thread::Builder::new()
                .name("hasher".to_owned())
                .spawn(move || shared.work(workspace))
                .map_err(|e| Error::with_source(ErrorKind::Internal, "a hashing thread cannot be started", e))?;
        }
        Ok(hasher)
    }

    /// Runs `work` on one of the threads. Dropping the future takes work that has not begun off the queue.
    ///
    /// # Errors
    /// `overloaded`, with a time to wait, when the queue is full or the job waited longer than the deadline;
    /// `internal` when `work` panics.
    pub(in crate::engine) async fn run<T, F>(&self, asker: Asker, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Workspace) -> T + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let _place = self.shared.push(
            asker,
            Box::new(move |turn| {
                let outcome = turn.and_then(|workspace| {
                    // Nothing half done can be seen afterwards: the work is gone, and the memory is given up.
                    catch_unwind(AssertUnwindSafe(|| work(&mut *workspace))).map_err(|_| {
                        workspace.release();
                        Error::new(ErrorKind::Internal, "a job on the hashing threads panicked")
                    })
                });
                // Nobody is there to take it when the caller left while the job ran.
                let _ = answer.send(outcome);
            }),
        )?;
        result.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the hashing threads have ended")))
    }

    /// That a job would find a place now: for whoever has something to do before it can ask for one.
    ///
    /// # Errors
    /// As [`run`](Self::run) when the queue is full.
    pub(in crate::engine) fn has_room(&self, asker: Asker) -> Result<()> {
        self.shared.has_room(&self.shared.lock(), asker)
    }

    /// How many jobs wait now.
    #[cfg(test)]
    fn queued(&self) -> usize {
        self.shared.lock().lines.len()
    }

    /// How many argon2 hashes were computed since the start.
    #[cfg(test)]
    pub(in crate::engine) fn hashes(&self) -> u64 {
        self.shared.hashes.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Hasher {
    // The threads are not joined: whoever drops this may be an async worker, and one job may take a second.
    fn drop(&mut self) {
        self.shared.lock().open = false;
        self.shared.wake.notify_all();
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("threads", &self.shared.threads).finish_non_exhaustive()
    }
}

/// How long a job may wait before it is answered with `overloaded`, unrun: few callers wait longer, and a hash for one
/// that has given up is lost work.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where the running mean of a job's time starts: about one hash with the default parameters.
const FIRST_GUESS: Duration = Duration::from_millis(20);

/// How long a thread without work keeps its memory. A storm reuses it; a server at rest should be small.
const IDLE: Duration = Duration::from_secs(30);

/// The lowest priority there is: on a busy machine a token check is never behind a hash.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

type Task = Box<dyn FnOnce(Result<&mut Workspace>) + Send>;

struct Shared {
    threads: usize,
    deadline: Duration,
    hashes: Arc<AtomicU64>,
    wake: Condvar,
    state: Mutex<State>,
}

struct State {
    open: bool,
    lines: Lines<Waiting>,
    running: u32,
    next_id: u64,
    mean: Duration,
}

struct Waiting {
    since: Instant,
    task: Task,
}

/// A caller's place in the queue, given up when the caller goes.
struct Place<'a> {
    shared: &'a Shared,
    line: Line,
    id: u64,
}

impl Shared {
    fn push(&self, asker: Asker, task: Task) -> Result<Place<'_>> {
        let mut state = self.lock();
        self.has_room(&state, asker)?;
        let id = state.next_id;
        state.next_id += 1;
        state.lines.push(asker, id, Waiting { since: Instant::now(), task });
        drop(state);
        self.wake.notify_one();
        Ok(Place { shared: self, line: asker.line(), id })
    }

    fn has_room(&self, state: &State, asker: Asker) -> Result<()> {
        if state.lines.has_room(asker) {
            return Ok(());
        }
        let wait = self.wait(state);
        Err(Error::new(ErrorKind::Overloaded, "the password hashing queue is full").with_retry_after(wait))
    }

    fn work(&self, mut workspace: Workspace) {
        lower_priority();
        while let Some(Waiting { since, task }) = self.next(&mut workspace) {
            let begun = Instant::now();
            if begun.duration_since(since) < self.deadline {
                task(Ok(&mut workspace));
                let mut state = self.lock();
                state.running -= 1;
                state.mean = (state.mean * 7 + begun.elapsed()) / 8;
            } else {
                let mut state = self.lock();
                state.running -= 1;
                let wait = self.wait(&state);
                drop(state);
                task(Err(
                    Error::new(ErrorKind::Overloaded, "the password hashing queue is slow").with_retry_after(wait)
                ));
            }
        }
        workspace.release();
    }

    fn next(&self, workspace: &mut Workspace) -> Option<Waiting> {
        let mut state = self.lock();
        while state.open {
            if let Some(next) = state.lines.pop() {
                state.running += 1;
                return Some(next);
            }
            if !workspace.is_wiped() {
                // The next hash would overwrite it; but there is none.
                drop(state);
                workspace.wipe();
                state = self.lock();
                continue;
            }
            let (woken, waited) = self.wake.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() && state.lines.len() == 0 {
                drop(state);
                workspace.release();
                state = self.lock();
            }
        }
        None
    }

    /// How long it takes, about, until what waits and runs now is done.
    fn wait(&self, state: &State) -> Duration {
        let jobs = u32::try_from(state.lines.len()).unwrap_or(u32::MAX).saturating_add(state.running);
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX);
        (state.mean.saturating_mul(jobs) / threads).max(Duration::from_secs(1))
    }

    // No code of a job runs under the lock, so a poisoned one still guards a state that makes sense.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // Nothing is left of it when its turn has come already.
        let waiting = state.lines.remove(self.line, self.id);
        // The job, and the password in it, are dropped outside the lock.
        drop(state);
        drop(waiting);
    }
}

/// On Linux a thread has a priority of its own; elsewhere this would slow the whole process down.
#[cfg(target_os = "linux")]
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "the hashing threads keep the priority of the server");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests;
