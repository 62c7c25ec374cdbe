//! The user that PostgreSQL runs as: whoever started the program, or, as PostgreSQL refuses root, somebody with less power.

use std::{
    os::unix::{ffi::OsStrExt as _, fs::chown, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
};

use crate::Error;

/// Who runs PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// Whoever started the program.
    Own,
    /// Somebody else, because the program was started by root.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    pub(crate) fn to_run_as() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let user = ["postgres", "nobody"].into_iter().find_map(uzers::get_user_by_name).ok_or(Error::NoAccount)?;
        let name = user.name().to_string_lossy().into_owned();
        Ok(Self::Other { name, uid: user.uid(), gid: user.primary_group_id() })
    }

    /// A program that runs as this user, in no folder of anybody's, and with nothing of ours to steer it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null());
        // PGDATA, PGPORT and the like would speak to the programs behind our back.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Gives a file or a folder that we made to this user.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid))
                .map_err(|source| Error::Unwritable { path: path.to_owned(), source }),
        }
    }

    /// That the user can enter the folder: root can enter what is closed to everybody else.
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
