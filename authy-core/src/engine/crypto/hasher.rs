//! The threads that hash passwords, and their queue.
//!
//! A hash occupies a core for tens of milliseconds. On a worker of the async runtime it would delay all other requests
//! of that worker, so it runs on a few threads of lower priority. Their queue refuses work immediately when it is full,
//! and drops work whose caller has gone.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{Error, ErrorKind, Result, engine::crypto::hash_config::HashConfig, histogram::Histogram};

mod queue;
pub(in crate::engine) mod statistics;
mod workspace;

pub(in crate::engine) use queue::HashRequester;
use queue::{JobQueues, QueueKind};
use statistics::HashStatistics;
pub(in crate::engine) use workspace::Workspace;

/// Threads of lower priority that hash passwords, in the order of [`queue`]. They end when this is dropped.
pub(in crate::engine) struct Hasher {
    shared: Arc<HashPool>,
}

impl Hasher {
    /// Starts the threads. Each keeps the memory of one hash after its first use, and overwrites it when there is
    /// nothing to hash.
    ///
    /// # Errors
    /// `internal` when a thread cannot be started.
    pub(in crate::engine) fn start(config: &HashConfig) -> Result<Self> {
        Self::start_with(config, MAX_QUEUE_TIME)
    }

    fn start_with(config: &HashConfig, deadline: Duration) -> Result<Self> {
        let threads = config.threads.max(1);
        let hasher = Self {
            shared: Arc::new(HashPool {
                threads,
                deadline,
                hashes: Arc::default(),
                waits: Histogram::default(),
                wake: Condvar::new(),
                state: Mutex::new(PoolState {
                    open: true,
                    queues: JobQueues::new(config.queue.max(1)),
                    running: 0,
                    next_id: 0,
                    mean: INITIAL_MEAN_TIME,
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

    /// Runs `work` on one of the threads. Dropping the future removes work that has not started from the queue.
    ///
    /// # Errors
    /// `overloaded`, with a time to wait, when the queue is full or the job waited longer than the deadline; `internal`
    /// when `work` panics.
    pub(in crate::engine) async fn run<T, F>(&self, requester: HashRequester, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Workspace) -> T + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        // What the job logs belongs to the request that waits for it.
        let span = tracing::Span::current();
        let _place = self.shared.push(
            requester,
            Box::new(move |workspace| {
                let outcome = workspace.and_then(|workspace| {
                    // No partial state remains visible: the work is dropped, and the memory is released.
                    catch_unwind(AssertUnwindSafe(|| span.in_scope(|| work(&mut *workspace)))).map_err(|_| {
                        workspace.release();
                        Error::new(ErrorKind::Internal, "a job on the hashing threads panicked")
                    })
                });
                // The receiver is gone when the caller left while the job ran.
                let _ = answer.send(outcome);
            }),
        )?;
        result.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the hashing threads have ended")))
    }

    /// Checks whether the queue has room for a job now, before expensive work that would precede the job.
    ///
    /// # Errors
    /// As [`run`](Self::run) when the queue is full.
    pub(in crate::engine) fn require_room(&self, requester: HashRequester) -> Result<()> {
        self.shared.require_room(&self.shared.lock(), requester)
    }

    /// Returns the state of the queue, and how long jobs waited.
    pub(in crate::engine) fn statistics(&self) -> HashStatistics {
        let state = self.shared.lock();
        let (waiting, running) = (state.queues.len(), usize::try_from(state.running).unwrap_or(usize::MAX));
        drop(state);
        HashStatistics { waiting, running, threads: self.shared.threads, waits: self.shared.waits.snapshot() }
    }

    /// Returns the number of waiting jobs.
    #[cfg(test)]
    fn queued(&self) -> usize {
        self.shared.lock().queues.len()
    }

    /// Returns the number of argon2 hashes computed since the start.
    #[cfg(test)]
    pub(in crate::engine) fn hashes(&self) -> u64 {
        self.shared.hashes.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Hasher {
    // The threads are not joined: an async worker may drop this, and one job may take a second.
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

/// Maximum wait of a job before it is refused with `overloaded`: few callers wait longer, and a hash for a caller who
/// has given up is wasted.
const MAX_QUEUE_TIME: Duration = Duration::from_secs(10);

/// The initial value of the running mean of a job's time: about one hash with the default parameters.
const INITIAL_MEAN_TIME: Duration = Duration::from_millis(20);

/// Time for which a thread without work keeps its memory. A burst of logins reuses it; an idle server should be small, and to get the
/// memory anew takes a few milliseconds.
const WORKSPACE_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The lowest priority: on a busy machine, a hash must not delay a token check.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

type Task = Box<dyn FnOnce(Result<&mut Workspace>) + Send>;

struct HashPool {
    threads: usize,
    deadline: Duration,
    hashes: Arc<AtomicU64>,
    waits: Histogram,
    wake: Condvar,
    state: Mutex<PoolState>,
}

struct PoolState {
    open: bool,
    queues: JobQueues<QueuedJob>,
    running: u32,
    next_id: u64,
    mean: Duration,
}

struct QueuedJob {
    since: Instant,
    /// Whether a caller waits for it: the deadline and the statistics of waiting times are about these alone.
    is_awaited: bool,
    task: Task,
}

/// A waiting job of a caller. Dropping this removes the job from the queue.
struct QueuePlace<'a> {
    shared: &'a HashPool,
    queue_kind: QueueKind,
    id: u64,
}

impl HashPool {
    fn push(&self, requester: HashRequester, task: Task) -> Result<QueuePlace<'_>> {
        let mut state = self.lock();
        self.require_room(&state, requester)?;
        let id = state.next_id;
        state.next_id += 1;
        let is_awaited = requester.queue_kind() != QueueKind::Background;
        state.queues.push(requester, id, QueuedJob { since: Instant::now(), is_awaited, task });
        drop(state);
        self.wake.notify_one();
        Ok(QueuePlace { shared: self, queue_kind: requester.queue_kind(), id })
    }

    fn require_room(&self, state: &PoolState, requester: HashRequester) -> Result<()> {
        if state.queues.has_room(requester) {
            return Ok(());
        }
        let wait = self.wait(state);
        Err(Error::new(ErrorKind::Overloaded, "the password hashing queue is full").with_retry_after(wait))
    }

    fn work(&self, mut workspace: Workspace) {
        lower_priority();
        while let Some(QueuedJob { since, is_awaited, task }) = self.next(&mut workspace) {
            let begun = Instant::now();
            let waited = begun.duration_since(since);
            if is_awaited {
                self.waits.observe(waited);
            }
            // Work that nobody waits for is never too late.
            if waited < self.deadline || !is_awaited {
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

    fn next(&self, workspace: &mut Workspace) -> Option<QueuedJob> {
        let mut state = self.lock();
        while state.open {
            if let Some(next) = state.queues.pop() {
                state.running += 1;
                return Some(next);
            }
            if !workspace.is_wiped() {
                // The next hash would overwrite the memory, but there is none.
                drop(state);
                workspace.wipe();
                state = self.lock();
                continue;
            }
            let (woken, waited) =
                self.wake.wait_timeout(state, WORKSPACE_IDLE_TIMEOUT).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() && state.queues.len() == 0 {
                drop(state);
                workspace.release();
                state = self.lock();
            }
        }
        None
    }

    /// Returns the estimated time until all waiting and running jobs are done.
    fn wait(&self, state: &PoolState) -> Duration {
        let jobs = u32::try_from(state.queues.len()).unwrap_or(u32::MAX).saturating_add(state.running);
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX);
        (state.mean.saturating_mul(jobs) / threads).max(Duration::from_secs(1))
    }

    // No code of a job runs under the lock, so the state is consistent even when the lock is poisoned.
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // Returns nothing when the job has already started.
        let waiting = state.queues.remove(self.queue_kind, self.id);
        // The job, and the password in it, are dropped outside of the lock.
        drop(state);
        drop(waiting);
    }
}

/// On Linux each thread has its own priority; elsewhere this would slow down the whole process.
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
