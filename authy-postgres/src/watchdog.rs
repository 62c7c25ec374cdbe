//! Ends PostgreSQL when this program ends, also by SIGKILL.
//!
//! A shell reads from a pipe whose writing end only this program has. The pipe closes when the program ends. (The
//! parent death signal of the kernel would be tied to the thread that started PostgreSQL, and exists on Linux only.)

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::{Error, os_user::OsUser};

/// Reads the number of each postmaster that this program starts, and when the pipe closes ends the last of them and no other:
/// meanwhile another program may have started its own on the same cluster.
///
/// Runs as the user that runs PostgreSQL, so it can end only processes of that user, and checks that the process with the
/// number is still a postgres.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pid=
while read -r line; do pid=$line; done
# The program ended between starting a postmaster and telling its number: then the file has it.
[ "$pid" != starting ] || for _ in 1 2 3 4 5; do
    pid=$(head -n 1 "$1/postmaster.pid" 2> /dev/null) && [ -n "$pid" ] && break
    sleep 1
done
[ -n "$pid" ] || exit 0
postmaster() {
    case "$(cat "/proc/$pid/comm" 2> /dev/null || ps -o comm= -p "$pid" 2> /dev/null)" in
        *postgres*) kill "-$1" "$pid" 2> /dev/null ;;
        *) return 1 ;;
    esac
}
postmaster INT
for _ in 1 2 3 4 5 6 7 8 9 10; do postmaster 0 || exit 0; sleep 1; done
postmaster QUIT
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
    /// Announces that a postmaster is about to be started.
    pub(crate) fn expect(&self) {
        self.tell("starting");
    }

    /// Says that no postmaster runs, because it could not be started.
    pub(crate) fn forget(&self) {
        self.tell("");
    }

    /// Says which process to end.
    pub(crate) fn watch(&self, postmaster: u32) {
        self.tell(&postmaster.to_string());
    }

    fn tell(&self, line: &str) {
        let mut shell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The shell does not end before its pipe closes, unless somebody kills it.
        if let Some(pipe) = &mut shell.stdin
            && let Err(error) = writeln!(pipe, "{line}")
        {
            tracing::warn!(%error, "PostgreSQL may go on running when this program is killed: its watchdog is gone");
        }
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
