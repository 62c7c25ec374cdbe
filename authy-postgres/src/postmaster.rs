//! The process: started, started anew when it dies without having been told to, and stopped.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::{
        fs::{OpenOptionsExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Durability, Error, account::Account, folder::Folder, programs::Programs, watchdog::Watchdog};

/// How long a fast shutdown may take before PostgreSQL is told to drop everything: nothing is lost by that either, it
/// only has to replay its log at the next start.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest pause before another start.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Postmaster {
    shared: Arc<Shared>,
    supervisor: Option<JoinHandle<()>>,
    _watchdog: Watchdog,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pid: Option<Pid>,
    keep: bool,
    stopping: bool,
    ended: bool,
}

/// What is started.
#[derive(Clone, Debug)]
struct Plan {
    program: PathBuf,
    cluster: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    account: Account,
    durability: Durability,
}

impl Postmaster {
    pub(crate) fn start(
        programs: &Programs,
        folder: &Folder,
        account: &Account,
        durability: Durability,
    ) -> Result<Self, Error> {
        let plan = Plan {
            program: programs.postgres(),
            cluster: folder.cluster(),
            socket: folder.socket().to_owned(),
            log: folder.log(),
            account: account.clone(),
            durability,
        };
        // One log back, so that the reason of a crash survives the next start.
        let earlier = plan.log.with_extension("log.1");
        let _ = fs::rename(&plan.log, &earlier);
        // One that an earlier version wrote is closed as well.
        let _ = fs::set_permissions(&earlier, Permissions::from_mode(0o600));
        let watchdog = Watchdog::start(&plan.cluster, account)?;
        let shared = Arc::new(Shared::default());
        let child = shared.spawn(&plan)?;
        let supervised = shared.clone();
        let supervisor = thread::Builder::new().name("postgres".to_owned()).spawn(move || supervised.run(child, &plan));
        let supervisor = supervisor.map_err(|source| Error::Spawn { program: programs.postgres(), source })?;
        Ok(Self { shared, supervisor: Some(supervisor), _watchdog: watchdog })
    }

    /// From now on it is started anew when it dies. Before that, a death is an answer.
    pub(crate) fn keep(&self) {
        self.shared.lock().keep = true;
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.shared.lock().pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// Stops it and waits.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        let Some(supervisor) = self.supervisor.take() else { return Ok(()) };
        let mut state = self.shared.lock();
        state.stopping = true;
        self.shared.changed.notify_all();
        for signal in [Signal::INT, Signal::QUIT, Signal::KILL] {
            if let Some(pid) = state.pid {
                let _ = kill_process(pid, signal);
            }
            let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !state.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                drop(state);
                return supervisor.join().map_err(|_| Error::Stuck);
            }
        }
        Err(Error::Stuck)
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "PostgreSQL could not be stopped");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, plan: &Plan) -> Result<Child, Error> {
        let mut state = self.lock();
        let child = plan.spawn().map_err(|source| Error::Spawn { program: plan.program.clone(), source })?;
        state.pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(child)
    }

    fn run(&self, mut child: Child, plan: &Plan) {
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
                tracing::error!(?status, ?pause, log = %plan.log.display(), "PostgreSQL ended: it is started anew");
                let waited = self.changed.wait_timeout_while(state, pause, |state| !state.stopping);
                drop(waited);
                pause = (pause * 2).min(LONGEST_PAUSE);
                match self.spawn(plan) {
                    Ok(started) => child = started,
                    Err(error) => tracing::error!(%error, "PostgreSQL cannot be started anew"),
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
                // It was told to stop between its end and its new start.
                let _ = state.pid.map(|pid| kill_process(pid, Signal::INT));
            }
        }
    }
}

impl Plan {
    fn spawn(&self) -> io::Result<Child> {
        let mut postgres: Command = self.account.command(&self.program);
        let log = private_log(&self.log)?;
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
    // The socket is the only way in.
    "listen_addresses=",
    // The log is about the server and not about what is in the database. Errors of statements quote values, so they are
    // told to the client only, which is this program: it logs them by kind. Below `log` there are only those and warnings.
    "log_min_messages=log",
    // What is left says what happened, without the statement, the parameters, or the row it happened to.
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
    // To the file that is open already, which nobody else can read.
    "logging_collector=off",
    "log_destination=stderr",
];

/// Opens a log that only the user who starts the program can read, one of an earlier version included.
fn private_log(path: &Path) -> io::Result<File> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    log.set_permissions(Permissions::from_mode(0o600))?;
    Ok(log)
}
