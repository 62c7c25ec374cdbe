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
        let installed = match named {
            Some(folder) => vec![Self::in_folder(&folder, user)?.ok_or(Error::NoProgramsIn { folder })?],
            None => Self::in_folders(usual_folders(), user)?,
        };
        Self::choose(installed, cluster)
    }

    fn choose(mut installed: Vec<Self>, cluster: Option<(PathBuf, u32)>) -> Result<Self, Error> {
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

    /// Returns the programs in these folders. Those that root must not start are skipped; when there are no others, they
    /// are an error.
    fn in_folders(folders: Vec<PathBuf>, user: &OsUser) -> Result<Vec<Self>, Error> {
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

/// Returns the folders in which programs may be installed.
fn usual_folders() -> Vec<PathBuf> {
    let below = |parent: &&str| fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = INSTALLATIONS.iter().flat_map(below).map(|path| path.join("bin")).collect();
    folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    folders
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, process::Command};

    use super::*;

    /// A folder with programs that say they are of this version, with these permissions.
    fn programs(version: u32, mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for program in ["postgres", "initdb"] {
            // By another process: a program that is started at the same moment would inherit the open file, which could
            // not be run until then (ETXTBSY).
            let script =
                format!("printf '#!/bin/sh\\necho \"postgres (PostgreSQL) {version}.1\"\\n' > $1; chmod {mode:o} $1");
            let mut write = Command::new("sh");
            assert!(write.args(["-c", &script, "sh"]).arg(folder.path().join(program)).status().unwrap().success());
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[test]
    fn the_newest_programs_that_fit_the_cluster_are_chosen() {
        let user = OsUser::to_run_as().unwrap();
        let (old, new, empty) = (programs(14, 0o755), programs(16, 0o755), tempfile::tempdir().unwrap());
        let folders = [&new, &empty, &old].map(|folder| folder.path().to_owned());
        let installed = Programs::in_folders(folders.to_vec(), &user).unwrap();
        let chosen = |cluster: Option<u32>| {
            let cluster = cluster.map(|version| (PathBuf::from("data"), version));
            Programs::choose(installed.clone(), cluster)
        };
        assert_eq!(chosen(None).unwrap().postgres(), new.path().join("postgres"));
        assert_eq!(chosen(Some(14)).unwrap().initdb(), old.path().join("initdb"));
        let refused = chosen(Some(15)).unwrap_err();
        assert!(matches!(&refused, Error::OtherVersion { installed, .. } if installed == "14, 16"), "{refused}");
        for cluster in [None, Some((PathBuf::from("data"), 15))] {
            assert!(matches!(Programs::choose(Vec::new(), cluster), Err(Error::NotInstalled)));
        }
    }

    #[test]
    fn programs_that_root_must_not_start_are_an_error_only_without_others() {
        let user = OsUser::to_run_as().unwrap();
        if matches!(user, OsUser::Own) {
            return;
        }
        let (open, safe) = (programs(16, 0o777), programs(15, 0o755));
        let (open, safe) = (open.path().to_owned(), safe.path().to_owned());
        let refused = Programs::in_folders(vec![open.clone()], &user).unwrap_err();
        assert!(matches!(&refused, Error::UnsafePrograms { folder } if *folder == open), "{refused}");
        let found = Programs::in_folders(vec![open, safe.clone()], &user).unwrap();
        assert_eq!(found.iter().map(|programs| &programs.folder).collect::<Vec<_>>(), [&safe]);
        assert!(Programs::in_folders(Vec::new(), &user).unwrap().is_empty());
    }
}
