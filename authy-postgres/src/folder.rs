//! The folder of a cluster: `postgres` contains the data, `run` the socket; `lock` is locked while the program runs;
//! `postgres.log` is the log.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::{Error, durability::Durability, os_user::OsUser, programs::Programs};

/// The database of a cluster, and the name of its owner.
pub(crate) const DATABASE: &str = "authy";

/// Maximum length of the socket's folder in bytes: the path of a unix socket has about 100, and PostgreSQL adds
/// `/.s.PGSQL.5432`.
const MAX_SOCKET_FOLDER_BYTES: usize = 85;

/// Maximum time for a PostgreSQL whose parent was killed to end.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(30);

/// A folder that is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct ClusterFolder {
    path: PathBuf,
    socket: PathBuf,
    _socket_elsewhere: Option<tempfile::TempDir>,
    _lock: File,
}

impl ClusterFolder {
    /// Locks the folder, which is created when it does not exist.
    pub(crate) fn open(path: &Path, user: &OsUser) -> Result<Self, Error> {
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Unwritable { path, source }
        };
        fs::create_dir_all(path).map_err(unwritable(path))?;
        let path = path.canonicalize().map_err(unwritable(path))?;
        let lock = path.join("lock");
        let mut open = OpenOptions::new();
        let lock = open.create(true).truncate(false).write(true).open(&lock).map_err(unwritable(&lock))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { folder: path }),
            Err(TryLockError::Error(source)) => return Err(Error::Unwritable { path, source }),
        }
        user.check_access(&path)?;
        let socket = path.join("run");
        Ok(Self { path, socket, _socket_elsewhere: None, _lock: lock })
    }

    pub(crate) fn cluster(&self) -> PathBuf {
        self.path.join("postgres")
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// Returns the folder and the major version of the cluster, when there is one.
    pub(crate) fn version(&self) -> Result<Option<(PathBuf, u32)>, Error> {
        let path = self.cluster().join("PG_VERSION");
        let wrong = |source| Error::Unwritable { path: path.clone(), source };
        match fs::read_to_string(&path) {
            Ok(text) => {
                let version = text.trim().parse().map_err(|_| wrong(io::Error::other("it contains no version")))?;
                Ok(Some((self.path.clone(), version)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(error)),
        }
    }

    /// Creates the cluster in a temporary folder and renames it when it is complete: a crash leaves no incomplete
    /// cluster.
    pub(crate) fn create_cluster(
        &self,
        programs: &Programs,
        user: &OsUser,
        durability: Durability,
    ) -> Result<(), Error> {
        let (new, cluster) = (self.path.join("postgres.new"), self.cluster());
        let unwritable = |source| Error::Unwritable { path: new.clone(), source };
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(error)),
            _ => {}
        }
        private_folder(&new, user)?;
        let mut initdb = user.command(&programs.initdb());
        // One locale, so that a cluster behaves the same on every machine. `trust` is right only because the socket is
        // in a folder that no other user can enter, and is the only way to connect.
        initdb.arg("-D").arg(&new).args(["-U", DATABASE, "-A", "trust", "-E", "UTF8", "--locale=C"]);
        if durability == Durability::None {
            initdb.arg("--no-sync");
        }
        let output = initdb.output().map_err(|source| Error::Spawn { program: programs.initdb(), source })?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Initdb { output });
        }
        fs::rename(&new, &cluster).and_then(|()| File::open(&self.path)?.sync_all()).map_err(unwritable)
    }

    /// Creates the folder of the socket, as a temporary folder when its path would be too long.
    pub(crate) fn prepare_socket(&mut self, user: &OsUser) -> Result<(), Error> {
        if self.socket.as_os_str().len() <= MAX_SOCKET_FOLDER_BYTES {
            return private_folder(&self.socket, user);
        }
        let temporary = std::env::temp_dir();
        let elsewhere = tempfile::Builder::new().prefix("authy-").tempdir_in(&temporary);
        let elsewhere = elsewhere.map_err(|source| Error::Unwritable { path: temporary, source })?;
        user.give(elsewhere.path())?;
        self.socket = elsewhere.path().to_owned();
        self._socket_elsewhere = Some(elsewhere);
        Ok(())
    }

    /// Stops a PostgreSQL whose parent was killed, and waits until it has ended.
    pub(crate) async fn wait_for_orphan(&self) -> Result<(), Error> {
        let begun = Instant::now();
        while let Some(pid) = live_postmaster(&self.cluster()) {
            if begun.elapsed() > ORPHAN_TIMEOUT {
                return Err(Error::InUse { folder: self.path.clone() });
            }
            // Fast shutdown. Sending it again is harmless.
            let _ = kill_process(pid, Signal::INT);
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Returns the socket's folder of the cluster that runs in this folder.
pub(crate) fn running_socket(folder: &Path) -> Option<PathBuf> {
    // Absolute and without links, as the postmaster's working folder is shown.
    let cluster = fs::canonicalize(folder.join("postgres")).ok()?;
    live_postmaster(&cluster)?;
    // The fifth line of postmaster.pid is the folder of the socket.
    let pid_file = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    pid_file.lines().nth(4).filter(|line| !line.is_empty()).map(PathBuf::from)
}

/// Returns the postmaster of a cluster, when it is alive.
fn live_postmaster(cluster: &Path) -> Option<Pid> {
    let line = first_line(&cluster.join("postmaster.pid"))?;
    let pid = Pid::from_raw(line.trim().parse().ok()?)?;
    rustix::process::test_kill_process(pid).ok()?;
    // After a reboot another process may have the number, and without an init process it may be that of a zombie. The
    // working folder of a postmaster is its cluster; where the system does not show that, the number has to suffice.
    let works_in = |pid: &str| fs::read_link(format!("/proc/{pid}/cwd")).ok();
    match works_in("self") {
        Some(_) => (works_in(&pid.as_raw_nonzero().to_string()).as_deref() == Some(cluster)).then_some(pid),
        None => Some(pid),
    }
}

/// Creates a folder that only the user who runs PostgreSQL can enter.
fn private_folder(path: &Path, user: &OsUser) -> Result<(), Error> {
    let unwritable = |source| Error::Unwritable { path: path.to_owned(), source };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => return Err(unwritable(error)),
        _ => {}
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(unwritable)?;
    user.give(path)
}

/// Returns the first line of a file, when it can be read.
fn first_line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().next().map(str::to_owned)
}
