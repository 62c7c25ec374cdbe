//! Ends PostgreSQL when this program ends, also by SIGKILL.
//!
//! A shell reads from a pipe whose writing end only this program has. The pipe closes when the program ends. (The
//! parent death signal of the kernel would be tied to the thread that started PostgreSQL, and exists on Linux only.)

use std::{
    io,
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::{Error, os_user::OsUser};

/// Reads the number of each postmaster that this program starts, and when the pipe closes ends the last of them and no other:
/// meanwhile another program may have started its own on the same cluster.
///
/// A postmaster tells its number by itself, before it is PostgreSQL, and until then it holds the pipe open ([`TELLS_ITS_NUMBER`]). So
/// there is no moment at which this program can be killed and nobody knows which process to end.
///
/// Runs as the user that runs PostgreSQL, so it can end only processes of that user, and checks that the process with the
/// number is still a postgres.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pid=
while read -r line; do pid=$line; done
[ -n "$pid" ] || exit 0
name() { cat "/proc/$pid/comm" 2> /dev/null || ps -o comm= -p "$pid" 2> /dev/null; }
postmaster() {
    case "$(name)" in
        *postgres*) kill "-$1" "$pid" 2> /dev/null ;;
        *) return 1 ;;
    esac
}
# It is about to become a postgres.
case "$(name)" in sh | */sh) sleep 1 ;; esac
postmaster INT
for _ in 1 2 3 4 5 6 7 8 9 10; do postmaster 0 || exit 0; sleep 1; done
postmaster QUIT
"#;

/// Tells the watchdog its process number by the pipe that is its standard input, and then becomes the program in its arguments,
/// which keeps the number and does not have the pipe. Without a watchdog it starts the program all the same.
const TELLS_ITS_NUMBER: &str = r#"
trap '' PIPE
echo "$$" 2> /dev/null >&0
trap - PIPE
exec "$@" < /dev/null
"#;

/// The shell.
#[derive(Debug)]
pub(crate) struct Watchdog(Mutex<Child>);

impl Watchdog {
    pub(crate) fn start(cluster: &Path, user: &OsUser) -> Result<Self, Error> {
        let shell = Path::new("/bin/sh");
        let mut command = user.command(shell);
        // Its own process group: Control-C at the terminal must not end it.
        command.args(["-c", SCRIPT, "authy-watchdog"]).arg(cluster).stdin(Stdio::piped()).process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
            .spawn()
            .map(|shell| Self(Mutex::new(shell)))
            .map_err(|source| Error::Spawn { program: shell.to_owned(), source })
    }
}

impl Watchdog {
    /// Returns a command that starts a program which is ended when this one ends, without arguments for it yet.
    pub(crate) fn command(&self, program: &Path, user: &OsUser) -> io::Result<Command> {
        let mut shell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It does not end before its pipe closes, unless somebody kills it.
        if shell.try_wait().is_ok_and(|ended| ended.is_some()) {
            tracing::warn!("PostgreSQL may go on running when this program is killed: its watchdog is gone");
        }
        let mut command = user.command(Path::new("/bin/sh"));
        command.args(["-c", TELLS_ITS_NUMBER, "authy-postgres"]).arg(program);
        if let Some(pipe) = &shell.stdin {
            command.stdin(pipe.as_fd().try_clone_to_owned()?);
        }
        Ok(command)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // PostgreSQL has ended: there is nothing left to watch.
        let shell = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = shell.kill();
        let _ = shell.wait();
    }
}
