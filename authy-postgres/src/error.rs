//! The errors of a cluster, each with what to do.

use std::{io, path::PathBuf};

/// A cluster that does not run.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `postgres` and `initdb` are not installed.
    #[error(
        "the PostgreSQL server programs were not found: install them (Debian: apt-get install postgresql; \
         macOS: brew install postgresql), name their folder in AUTHY_PG_BIN, \
         or use a server that runs elsewhere by AUTHY_DATABASE_URL"
    )]
    NotInstalled,
    /// The configured folder contains no server programs.
    #[error("{folder} contains no PostgreSQL server programs (postgres, initdb): configure the folder that does")]
    NoProgramsIn {
        /// The folder.
        folder: PathBuf,
    },
    /// Another user could have replaced the server programs, and root would start them.
    #[error(
        "the PostgreSQL server programs in {folder} are not started by root, because other users can write them or a \
         folder above them: install the system's package, name another folder in AUTHY_PG_BIN, or start as an ordinary user"
    )]
    UnsafePrograms {
        /// The folder.
        folder: PathBuf,
    },
    /// The cluster is of a major version that is not installed.
    #[error(
        "the cluster in {folder} is of PostgreSQL {cluster}, and installed is {installed}: \
         install PostgreSQL {cluster} as well, or move the data with pg_upgrade or pg_dumpall"
    )]
    OtherVersion {
        /// The folder of the cluster.
        folder: PathBuf,
        /// The major version of the cluster.
        cluster: u32,
        /// The major versions that are installed.
        installed: String,
    },
    /// Another program uses the folder.
    #[error("{folder} is in use by another program: stop it, or use another folder")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be written.
    #[error("{path} cannot be written ({source}): give it to the user that starts the program, or use another folder")]
    Unwritable {
        /// The folder or the file in it.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The user that PostgreSQL has to run as cannot enter the folder.
    #[error(
        "PostgreSQL does not run as root, so it runs as {user}, who cannot enter {folder}: \
         use a folder whose parents every user may enter (such as /var/lib/authy), or start as an ordinary user"
    )]
    NotTraversable {
        /// The folder.
        folder: PathBuf,
        /// The user.
        user: String,
    },
    /// There is no ordinary user to run as.
    #[error("PostgreSQL does not run as root, and there is no user postgres or nobody: start as an ordinary user")]
    NoUser,
    /// `initdb` failed.
    #[error("initdb could not create the cluster: {output}")]
    Initdb {
        /// Its output.
        output: String,
    },
    /// A program could not be started.
    #[error("{program} cannot be started: {source}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// PostgreSQL ended while it was starting.
    #[error("PostgreSQL ended while it was starting; the end of its log:\n{log}")]
    Ended {
        /// The last lines of its log.
        log: String,
    },
    /// PostgreSQL runs, but connections to it fail, or are not answered.
    #[error("PostgreSQL cannot be reached: {source}; the end of its log:\n{log}")]
    Unreachable {
        /// The error of the last connection.
        source: io::Error,
        /// The last lines of its log.
        log: String,
    },
    /// PostgreSQL did not end after it was signalled.
    #[error("PostgreSQL did not stop")]
    Stuck,
}
