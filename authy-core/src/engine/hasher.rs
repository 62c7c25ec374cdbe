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

use super::{HashConfig, password::Workspace};
use crate::{Error, ErrorKind, Result};

mod queue;

pub(super) use queue::Asker;
use queue::{Line, Lines};

/// Threads of lowered priority that hash passwords, first come, first served. They end when this is dropped.
pub(super) struct Hasher {
    shared: Arc<Shared>,
}

impl Hasher {
    /// Starts the threads. Each keeps the memory of one hash, once it has needed it, and wipes it when there is nothing to
    /// hash.
    ///
    /// # Errors
    /// `internal` when a thread cannot be started.
    pub(super) fn start(config: &HashConfig) -> Result<Self> {
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
    pub(super) async fn run<T, F>(&self, asker: Asker, work: F) -> Result<T>
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
    pub(super) fn has_room(&self, asker: Asker) -> Result<()> {
        self.shared.has_room(&self.shared.lock(), asker)
    }

    /// How many jobs wait now.
    #[cfg(test)]
    fn queued(&self) -> usize {
        self.shared.lock().lines.len()
    }

    /// How many argon2 hashes were computed since the start.
    #[cfg(test)]
    pub(super) fn hashes(&self) -> u64 {
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
        Err(Error::new(ErrorKind::Overloaded, "the password hashing queue is full").retry_after(wait))
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
                task(Err(Error::new(ErrorKind::Overloaded, "the password hashing queue is slow").retry_after(wait)));
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
mod tests {
    use std::sync::mpsc;

    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn hasher(queue: usize, deadline: Duration) -> Arc<Hasher> {
        let config = HashConfig { threads: 1, queue, argon2: "m=8,t=1,p=1".parse().unwrap() };
        Arc::new(Hasher::start_with(&config, deadline).unwrap())
    }

    /// Keeps the only thread busy until the sender is dropped.
    async fn block(hasher: &Arc<Hasher>) -> mpsc::Sender<()> {
        let (free, freed) = mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let hasher = Arc::clone(hasher);
        tokio::spawn(async move {
            let busy = move |_: &mut Workspace| {
                let _ = begun.send(());
                let _ = freed.recv();
            };
            hasher.run(Asker::default(), busy).await
        });
        has_begun.await.unwrap();
        free
    }

    async fn until_queued(hasher: &Hasher, jobs: usize) {
        let waiting = async {
            while hasher.queued() != jobs {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, waiting).await.unwrap();
    }

    fn enqueue(hasher: &Arc<Hasher>, ran: &mpsc::Sender<u8>, number: u8) -> tokio::task::JoinHandle<Result<()>> {
        let (hasher, ran) = (Arc::clone(hasher), ran.clone());
        tokio::spawn(async move { hasher.run(Asker::default(), move |_| ran.send(number).unwrap()).await })
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_with_a_time_to_wait() {
        let (hasher, (ran, _)) = (hasher(2, LONG), mpsc::channel());
        let _busy = block(&hasher).await;
        let _first = enqueue(&hasher, &ran, 1);
        let _second = enqueue(&hasher, &ran, 2);
        until_queued(&hasher, 2).await;
        let error = timeout(LONG, hasher.run(Asker::default(), |_| ())).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(error.wait() >= Some(Duration::from_secs(1)));
    }

    #[tokio::test]
    async fn a_storm_from_one_network_leaves_room_for_others_and_for_known_devices() {
        let hasher = hasher(16, LONG);
        let busy = block(&hasher).await;
        let asker = |address: &str, is_known| Asker::new(address.parse().ok(), is_known);
        let mut storm = Vec::new();
        let mut refused = 0;
        // A /48, from everywhere in it.
        for number in 0..40_u32 {
            let from = asker(&format!("2001:db8:1:{number:x}::1"), false);
            match hasher.has_room(from) {
                Ok(()) => {
                    let queue = Arc::clone(&hasher);
                    storm.push(tokio::spawn(async move { queue.run(from, |_| ()).await }));
                    until_queued(&hasher, storm.len()).await;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Overloaded);
                    refused += 1;
                }
            }
        }
        assert!(refused > 30, "{refused}");
        assert!(hasher.has_room(asker("2001:db8:2::1", false)).is_ok(), "another network");
        assert!(hasher.has_room(asker("192.0.2.1", false)).is_ok(), "the other family");
        assert!(hasher.has_room(asker("2001:db8:1::1", true)).is_ok(), "a known device of the same network");
        drop(busy);
        for job in storm {
            job.await.unwrap().unwrap();
        }
        assert!(hasher.has_room(asker("2001:db8:1::1", false)).is_ok(), "the places are given back");
    }

    #[tokio::test]
    async fn a_caller_that_left_gives_its_place_back_and_is_never_run() {
        let (hasher, (ran, order)) = (hasher(2, LONG), mpsc::channel());
        let busy = block(&hasher).await;
        let leaver = enqueue(&hasher, &ran, 1);
        until_queued(&hasher, 1).await;
        let second = enqueue(&hasher, &ran, 2);
        until_queued(&hasher, 2).await;
        leaver.abort();
        until_queued(&hasher, 1).await;
        let third = enqueue(&hasher, &ran, 3);
        until_queued(&hasher, 2).await;
        drop(busy);
        second.await.unwrap().unwrap();
        third.await.unwrap().unwrap();
        drop(ran);
        assert_eq!(order.iter().collect::<Vec<_>>(), [2, 3]);
    }

    #[tokio::test]
    async fn a_job_that_waited_too_long_is_answered_unrun() {
        // With a deadline of nothing, every job has waited too long when its turn comes.
        let (hasher, (ran, order)) = (hasher(2, Duration::ZERO), mpsc::channel());
        let error = enqueue(&hasher, &ran, 1).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(error.wait().is_some());
        drop(ran);
        assert_eq!(order.iter().count(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_and_the_thread_lives_on() {
        let hasher = hasher(1, LONG);
        let error = hasher.run(Asker::default(), |_| -> () { panic!("on purpose") }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(hasher.run(Asker::default(), |_| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn the_threads_end_with_the_hasher() {
        let hasher = hasher(1, LONG);
        hasher.run(Asker::default(), |_| ()).await.unwrap();
        let shared = Arc::downgrade(&hasher.shared);
        drop(hasher);
        let ended = async {
            while shared.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, ended).await.unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_have_the_lowest_priority_and_the_caller_keeps_its_own() {
        let own = rustix::process::getpriority_process(None).unwrap();
        let theirs = hasher(1, LONG)
            .run(Asker::default(), |_| rustix::process::getpriority_process(None).unwrap())
            .await
            .unwrap();
        assert_eq!(theirs, NICENESS);
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
    }
}
