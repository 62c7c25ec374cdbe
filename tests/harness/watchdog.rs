//! Ends what a test has started when the process of the test ends, also by Control-C or kill -9.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Reads what to end, one line each, and ends it when the pipe closes. What is frozen is thawed first, so that it can
/// end.
///
/// A process is killed only when it still has its name: its number may be that of another by then.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
thaw= kill= unmount= remove=
while read -r verb what name; do
    case "$verb" in
        thaw) thaw="$thaw $what" ;;
        kill) kill="$kill $what:$name" ;;
        unmount) unmount="$unmount $what" ;;
        remove) remove="$remove $what" ;;
    esac
done
for pid in $thaw; do kill -CONT "$pid"; done
for process in $kill; do
    pid=${process%%:*}
    [ "$(cat "/proc/$pid/comm")" = "${process#*:}" ] && kill -9 "$pid"
done
# PostgreSQL has a watchdog of its own, which stops it in order.
for path in $remove; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        ls "$path"/*/postgres/postmaster.pid && sleep 1 || break
    done
done
for path in $unmount; do umount -l "$path"; done
for path in $remove; do rm -rf --one-file-system "$path"; done
"#;

/// The shell that waits for the end of this process. Dropping it ends what was named before.
pub struct Watchdog(Child);

impl Watchdog {
    /// Starts it.
    pub fn start() -> Self {
        let mut shell = Command::new("/bin/sh");
        // A group of its own: Control-C at the terminal must not end it.
        shell.args(["-c", SCRIPT, "test-watchdog"]).stdin(Stdio::piped()).process_group(0);
        Self(shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Names a process to kill, and the program that it runs.
    pub fn kill(&self, pid: u32, program: &Path) {
        // Not read from the process, which has the name of its parent until it has become the program. The system cuts it.
        let name = program.file_name().unwrap().to_string_lossy();
        self.tell(&format!("kill {pid} {}", &name[..name.len().min(15)]));
    }

    /// Names a process that may be frozen.
    pub fn thaw(&self, pid: u32) {
        self.tell(&format!("thaw {pid}"));
    }

    /// Names a file system to unmount.
    pub fn unmount(&self, path: &Path) {
        self.tell(&format!("unmount {}", path.display()));
    }

    /// Names a folder to remove.
    pub fn remove(&self, path: &Path) {
        self.tell(&format!("remove {}", path.display()));
    }

    fn tell(&self, line: &str) {
        writeln!(self.0.stdin.as_ref().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
