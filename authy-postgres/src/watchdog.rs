//! Ends PostgreSQL when its parent ends, even by kill -9.
//!
//! A shell holds the reading end of a pipe whose writing end only we hold. When we are gone, in whatever way, the pipe
//! closes. (A death signal from the kernel would be tied to the thread that started PostgreSQL, and exists on Linux only.)

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Stdio},
};

use crate::{Error, account::Account};

/// It runs as the user that runs PostgreSQL, so it can end nothing that is not theirs, and makes sure that the number in
/// the file is a postgres still.
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

#[derive(Debug)]
pub(crate) struct Watchdog(Child);

impl Watchdog {
    pub(crate) fn start(cluster: &Path, account: &Account) -> Result<Self, Error> {
        let shell = Path::new("/bin/sh");
        let mut command = account.command(shell);
        // A group of its own: Control-C at the terminal is for us alone.
        command.args(["-c", SCRIPT, "authy-watchdog"]).arg(cluster).stdin(Stdio::piped()).process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self).map_err(|source| Error::Spawn { program: shell.to_owned(), source })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // PostgreSQL has ended in order: there is nothing to watch.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
