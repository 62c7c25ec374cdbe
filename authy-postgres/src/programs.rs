//! Finds the installed server programs that fit a cluster.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{Error, os_user::OsUser};

/// The server programs of one version of PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    version: u32,
}

/// Folders that hold a folder of programs per version, below `bin`: Debian, Red Hat, Homebrew (on both kinds of Mac),
/// Postgres.app.
const INSTALLATIONS: &[&str] = &[
    "/usr/lib/postgresql",
    "/usr",
    "/opt/homebrew/opt",
    "/usr/local/opt",
    "/Applications/Postgres.app/Contents/Versions",
];

impl Programs {
    /// Finds the programs in `folder` (or `AUTHY_PG_BIN`); otherwise the newest that fit a cluster of that version;
    /// otherwise the newest. They are run as `user` to read their version, never as root.
    pub(crate) fn find(folder: Option<&Path>, cluster: Option<(PathBuf, u32)>, user: &OsUser) -> Result<Self, Error> {
        let named = folder.map(Path::to_owned).or_else(|| env::var_os("AUTHY_PG_BIN").map(PathBuf::from));
        let mut installed = match named {
            Some(folder) => vec![Self::in_folder(&folder, user)?.ok_or(Error::NoProgramsIn { folder })?],
            None => Self::installed(user)?,
        };
        installed.sort_by_key(|programs| programs.version);
        let versions = installed.iter().map(|programs| programs.version.to_string()).collect::<Vec<_>>().join(", ");
        let fits = |programs: &Self| cluster.as_ref().is_none_or(|(_, version)| programs.version == *version);
        match (installed.is_empty(), installed.into_iter().rfind(fits), &cluster) {
            (_, Some(programs), _) => Ok(programs),
            (false, None, Some((folder, cluster))) => {
                Err(Error::OtherVersion { folder: folder.clone(), cluster: *cluster, installed: versions })
            }
            _ => Err(Error::NotInstalled),
        }
    }

    pub(crate) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// Returns the installed programs. Those that root must not start are skipped; when there are no others, they are
    /// an error.
    fn installed(user: &OsUser) -> Result<Vec<Self>, Error> {
        let below = |parent: &&str| fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut folders: Vec<PathBuf> = INSTALLATIONS.iter().flat_map(below).map(|path| path.join("bin")).collect();
        folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
        let (mut installed, mut refused) = (Vec::new(), None);
        for folder in folders {
            match Self::in_folder(&folder, user) {
                Ok(found) => installed.extend(found),
                Err(error) => refused = Some(error),
            }
        }
        match refused.filter(|_| installed.is_empty()) {
            Some(error) => Err(error),
            None => Ok(installed),
        }
    }

    fn in_folder(folder: &Path, user: &OsUser) -> Result<Option<Self>, Error> {
        let programs = [folder.join("postgres"), folder.join("initdb")];
        if !programs.iter().all(|program| program.is_file()) {
            return Ok(None);
        }
        // The folder, and the targets of its files when they are links.
        if ![folder].into_iter().chain(programs.iter().map(PathBuf::as_path)).all(|path| user.trusts(path)) {
            return Err(Error::UnsafePrograms { folder: folder.to_owned() });
        }
        let [postgres, _] = &programs;
        let version = || {
            // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
            let output = user.command(postgres).arg("--version").output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            let number = text.split_once(") ")?.1;
            let major = number.split(|c: char| !c.is_ascii_digit()).next()?;
            major.parse().ok()
        };
        Ok(version().map(|version| Self { folder: folder.to_owned(), version }))
    }
}
