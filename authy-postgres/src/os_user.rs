//! The operating system user that PostgreSQL runs as: the one that runs this program, or an unprivileged one instead of
//! root, which PostgreSQL refuses.

use std::{
    env,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
};

use crate::Error;

/// The search path of programs that root starts, instead of root's own.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The user that runs PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) enum OsUser {
    /// The user that runs this program.
    Own,
    /// An unprivileged user, because root runs this program.
    Other { name: String, uid: u32, gid: u32 },
}

impl OsUser {
    pub(crate) fn to_run_as() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let user = ["postgres", "nobody"].into_iter().find_map(uzers::get_user_by_name).ok_or(Error::NoUser)?;
        let name = user.name().to_string_lossy().into_owned();
        Ok(Self::Other { name, uid: user.uid(), gid: user.primary_group_id() })
    }

    /// Returns a command that runs as this user, in the root folder, with an environment of its own.
    ///
    /// Nothing is inherited: the environment of this process contains secrets (a master key, URLs with passwords) that
    /// other processes of the same user could read in `/proc`, and PGDATA, PGPORT and the like would change what the
    /// programs do.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null()).env_clear();
        // One language on every machine: the locale of the cluster is C, and programs read the messages.
        command.env("LC_ALL", "C");
        // The time zone of the log; without it the system's.
        command.envs(env::var_os("TZ").map(|zone| ("TZ", zone)));
        match self {
            // The folder of `cat` and `ps` differs between systems.
            Self::Own => command.envs(env::var_os("PATH").map(|path| ("PATH", path))),
            Self::Other { uid, gid, .. } => command.env("PATH", SYSTEM_PATH).uid(*uid).gid(*gid),
        };
        command
    }

    /// Returns whether only root and this user can replace the file or folder, or a folder above it.
    ///
    /// Root must not start a program that another user can replace, not even as an unprivileged user.
    pub(crate) fn trusts(&self, path: &Path) -> bool {
        let Self::Other { uid, .. } = self else { return true };
        let Ok(path) = path.canonicalize() else { return false };
        path.ancestors().all(|part| {
            part.metadata().is_ok_and(|metadata| {
                let is_writable = metadata.mode() & 0o022 != 0;
                // In a sticky folder (/tmp) other users can add files, and cannot replace those of others.
                let is_sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0 && part != path;
                (metadata.uid() == 0 || metadata.uid() == *uid) && (!is_writable || is_sticky)
            })
        })
    }

    /// Makes this user the owner of a file or a folder.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid))
                .map_err(|source| Error::Unwritable { path: path.to_owned(), source }),
        }
    }

    /// Checks that the user can enter the folder, which root always can.
    pub(crate) fn check_access(&self, folder: &Path) -> Result<(), Error> {
        let Self::Other { name, .. } = self else { return Ok(()) };
        let mut enter = self.command(Path::new("/bin/sh"));
        let entered = enter.args(["-c", "cd \"$1\"", "sh"]).arg(folder).stderr(Stdio::null()).status();
        match entered {
            Ok(status) if status.success() => Ok(()),
            _ => Err(Error::NotTraversable { folder: folder.to_owned(), user: name.clone() }),
        }
    }
}
