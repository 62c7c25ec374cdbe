//! The postmaster process: started, restarted when it dies unexpectedly, and stopped.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::Child,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Error, durability::Durability, folder::ClusterFolder, os_user::OsUser, programs::Programs, server_log::ServerLog,
    watchdog::Watchdog,
};

/// Maximum time that sessions get to end by themselves: those of connections that were just closed, of which PostgreSQL may not
/// know yet. It would tell them that it ends them, and they would report an error.
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum time for a fast shutdown, before an immediate one. An immediate shutdown loses nothing either, but the log
/// is replayed at the next start.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum pause before a restart.
const MAX_RESTART_PAUSE: Duration = Duration::from_secs(5);

/// A PostgreSQL that is supervised by a thread.
#[derive(Debug)]
pub(crate) struct Postmaster {
    supervisor: Arc<Supervisor>,
    log: ServerLog,
    thread: Option<JoinHandle<()>>,
}

/// The state that the thread shares with the handle.
#[derive(Debug)]
struct Supervisor {
    state: Mutex<PostmasterState>,
    changed: Condvar,
    watchdog: Watchdog,
}

#[derive(Debug, Default)]
struct PostmasterState {
    pid: Option<Pid>,
    keep: bool,
    stopping: bool,
    ended: bool,
}

/// The command line of PostgreSQL.
#[derive(Clone, Debug)]
struct LaunchPlan {
    program: PathBuf,
    cluster: PathBuf,
    socket: PathBuf,
    log: ServerLog,
    user: OsUser,
    durability: Durability,
}

impl Postmaster {
    pub(crate) fn start(
        programs: &Programs,
        folder: &ClusterFolder,
        user: &OsUser,
        durability: Durability,
    ) -> Result<Self, Error> {
        let plan = LaunchPlan {
            program: programs.postgres(),
            cluster: folder.cluster(),
            socket: folder.socket().to_owned(),
            log: ServerLog::new(folder.log()),
            user: user.clone(),
            durability,
        };
        // The previous log is kept, so that the reason of a crash survives the next start.
        let earlier = plan.log.path().with_extension("log.1");
        let _ = fs::rename(plan.log.path(), &earlier);
        // Also for a log that an earlier version wrote.
        let _ = fs::set_permissions(&earlier, Permissions::from_mode(0o600));
        let watchdog = Watchdog::start(&plan.cluster, user)?;
        let supervisor = Arc::new(Supervisor { state: Mutex::default(), changed: Condvar::new(), watchdog });
        let child = supervisor.spawn(&plan)?;
        let (supervised, log) = (supervisor.clone(), plan.log.clone());
        let thread = thread::Builder::new().name("postgres".to_owned()).spawn(move || supervised.run(child, &plan));
        let thread = thread.map_err(|source| Error::Spawn { program: programs.postgres(), source })?;
        Ok(Self { supervisor, log, thread: Some(thread) })
    }

    /// From now on PostgreSQL is restarted when it dies. Before that, its end is an error of the start.
    pub(crate) fn keep(&self) {
        self.supervisor.lock().keep = true;
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.supervisor.lock().pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.supervisor.lock().ended
    }

    /// Returns the end of the log of a PostgreSQL that has ended.
    pub(crate) fn last_words(&self) -> String {
        self.log.last_words()
    }

    /// Lets the sessions end by themselves for a moment, stops PostgreSQL, and waits until it has ended.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        self.stop_by(&[(Signal::TERM, SESSIONS_TIMEOUT)])
    }

    fn stop_by(&mut self, gently: &[(Signal, Duration)]) -> Result<(), Error> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let mut state = self.supervisor.lock();
        state.stopping = true;
        self.supervisor.changed.notify_all();
        let firmly = [Signal::INT, Signal::QUIT, Signal::KILL].map(|signal| (signal, SHUTDOWN_TIMEOUT));
        for &(signal, time) in gently.iter().chain(&firmly) {
            if let Some(pid) = state.pid {
                let _ = kill_process(pid, signal);
            }
            let waited = self.supervisor.changed.wait_timeout_while(state, time, |state| !state.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                drop(state);
                return thread.join().map_err(|_| Error::Stuck);
            }
        }
        Err(Error::Stuck)
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if let Err(error) = self.stop_by(&[]) {
            tracing::error!(%error, "PostgreSQL could not be stopped");
        }
    }
}

impl Supervisor {
    fn lock(&self) -> MutexGuard<'_, PostmasterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, plan: &LaunchPlan) -> Result<Child, Error> {
        let mut state = self.lock();
        let child = plan.spawn(&self.watchdog);
        let child = child.map_err(|source| Error::Spawn { program: plan.program.clone(), source })?;
        state.pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(child)
    }

    fn run(&self, mut child: Child, plan: &LaunchPlan) {
        let mut pause = Duration::from_millis(100);
        loop {
            let begun = Instant::now();
            let status = child.wait();
            let mut state = self.lock();
            state.pid = None;
            while !state.stopping && state.keep {
                if begun.elapsed() > Duration::from_secs(60) {
                    pause = Duration::from_millis(100);
                }
                let (log, last_words) = (plan.log.path().display(), plan.log.last_words());
                tracing::error!(?status, ?pause, %log, last_words, "PostgreSQL ended: restarting it");
                let waited = self.changed.wait_timeout_while(state, pause, |state| !state.stopping);
                drop(waited);
                pause = (pause * 2).min(MAX_RESTART_PAUSE);
                match self.spawn(plan) {
                    Ok(started) => child = started,
                    Err(error) => tracing::error!(%error, "PostgreSQL cannot be restarted"),
                }
                state = self.lock();
                if state.pid.is_some() {
                    break;
                }
            }
            if state.pid.is_none() {
                state.ended = true;
                self.changed.notify_all();
                return;
            }
            if state.stopping {
                // The stop was requested between its end and its restart.
                let _ = state.pid.map(|pid| kill_process(pid, Signal::INT));
            }
        }
    }
}

impl LaunchPlan {
    fn spawn(&self, watchdog: &Watchdog) -> io::Result<Child> {
        let mut postgres = watchdog.command(&self.program, &self.user)?;
        let log = self.log.open()?;
        postgres.arg("-D").arg(&self.cluster).arg("-k").arg(&self.socket);
        postgres.stdout(log.try_clone()?).stderr(log).process_group(0);
        for setting in self.settings() {
            postgres.args(["-c", setting]);
        }
        postgres.spawn()
    }

    fn settings(&self) -> impl Iterator<Item = &'static str> {
        const FULL: &[&str] = &["max_connections=100"];
        const NONE: &[&str] =
            &["max_connections=400", "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off"];
        let durability = match self.durability {
            Durability::Full => FULL,
            Durability::None => NONE,
        };
        ALWAYS.iter().chain(durability).copied()
    }
}

/// Settings of every cluster. On the command line, so that no file in the cluster overrides them.
const ALWAYS: &[&str] = &[
    // The socket is the only way to connect.
    "listen_addresses=",
    // The log is about the server and not about the content of the database. Errors of statements quote values, so only
    // the client gets them, which is this program: it logs them by kind. Below `log` there are only those and warnings.
    "log_min_messages=log",
    // Other messages contain neither the statement nor its parameters or rows.
    "log_error_verbosity=terse",
    "log_min_error_statement=panic",
    "log_parameter_max_length=0",
    "log_parameter_max_length_on_error=0",
    "log_statement=none",
    "log_min_duration_statement=-1",
    "log_min_duration_sample=-1",
    "log_transaction_sample_rate=0",
    "log_duration=off",
    "log_connections=off",
    "log_disconnections=off",
    "debug_print_parse=off",
    "debug_print_rewritten=off",
    "debug_print_plan=off",
    // To the file that is already open, which no other user can read.
    "logging_collector=off",
    "log_destination=stderr",
];
