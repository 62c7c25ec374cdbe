//! Ends PostgreSQL when this program ends, also by SIGKILL.
//!
//! A shell reads from a pipe whose writing end only this program has. The pipe closes when the program ends. (The
//! parent death signal of the kernel would be tied to the thread that started PostgreSQL, and exists on Linux only.)

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Stdio},
};

use crate::{Error, os_user::OsUser};

/// Runs as the user that runs PostgreSQL, so it can end only processes of that user, and checks that the process with
/// the number in the file is still a postgres.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat > /dev/null
postmaster() {
    pid=$(head -n 1 "$1/postmaster.pid" 2> /dev/null) && [ -n "$pid" ] || return 1
    case "$(cat "/proc/$pid/comm" 2> /dev/null || ps -o comm= -p "$pid" 2> /dev/null)" in
        *postgres*) kill "-$2" "$pid" 2> /dev/null ;;
        *) return 1 ;;
    esac
}
# It may have been started a moment ago and not have written its number yet.
for _ in 1 2 3 4 5; do postmaster "$1" INT && break; sleep 1; done
for _ in 1 2 3 4 5 6 7 8 9 10; do postmaster "$1" 0 || exit 0; sleep 1; done
postmaster "$1" QUIT
"#;

/// The shell.
#[derive(Debug)]
pub(crate) struct Watchdog(Child);

impl Watchdog {
    pub(crate) fn start(cluster: &Path, user: &OsUser) -> Result<Self, Error> {
        let shell = Path::new("/bin/sh");
        let mut command = user.command(shell);
        // Its own process group: Control-C at the terminal must not end it.
        command.args(["-c", SCRIPT, "authy-watchdog"]).arg(cluster).stdin(Stdio::piped()).process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self).map_err(|source| Error::Spawn { program: shell.to_owned(), source })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // PostgreSQL has ended: there is nothing left to watch.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
