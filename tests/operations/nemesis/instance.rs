//! An instance: the program in a process of its own, behind networks that can be cut.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use authy_core::engine::MasterKeys;
use authy_tests::{
    SERVER_PROCESS_ISSUER,
    link::{Endpoint, Link, Mode},
    watchdog::Watchdog,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::plan::Cut;

/// The maximum age of what instances and verifiers know of revocations: short, so that faults outlast it.
pub(super) const MAX_STALENESS: Duration = Duration::from_secs(5);

/// What an instance runs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_authy-server-program");

/// How long an instance may take until it listens, with a database that has to recover first.
const STARTING: Duration = Duration::from_secs(60);

/// Where a fake clock is loaded from, on Debian. The loader replaces `$LIB`.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// The process, the networks around it, and its clock.
pub(super) struct Instance {
    number: usize,
    child: Option<Child>,
    /// From clients and verifiers.
    pub(super) clients: Link,
    /// To the two nodes of the database.
    pub(super) database: [Link; 2],
    /// To the broker.
    pub(super) broker: Link,
    folder: PathBuf,
    keys: MasterKeys,
    host: String,
}

/// Whether the clock of an instance can be moved on this machine.
pub(super) fn has_fake_clock() -> bool {
    Path::new("/usr/bin/faketime").exists()
}

impl Instance {
    /// An instance that does not run yet. `host` is the virtual host of the broker.
    pub(super) async fn new(number: usize, folder: &Path, keys: MasterKeys, host: String) -> Self {
        let (folder, clients, broker) = (folder.to_owned(), Link::new().await, Link::new().await);
        let database = [Link::new().await, Link::new().await];
        let instance = Self { number, child: None, clients, database, broker, folder, keys, host };
        instance.set_clock(0);
        instance
    }

    /// The URL that clients know.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.clients.address)
    }

    /// Where it logs.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join(format!("instance-{}.log", self.number))
    }

    /// Starts it, again when it fails because the database is away, and waits until it listens.
    pub(super) async fn start(&mut self, watchdog: &Watchdog) {
        let deadline = Instant::now() + STARTING;
        loop {
            let mut child = self.command().spawn().unwrap();
            let pid = child.id().unwrap();
            watchdog.thaw(pid);
            watchdog.kill(pid, Path::new(PROGRAM));
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let listening = async {
                while let Some(line) = lines.next_line().await.unwrap() {
                    if let Some(address) = line.strip_prefix("listening on http://") {
                        return Some(address.parse().unwrap());
                    }
                }
                None
            };
            let listening = timeout(STARTING, listening).await.ok().flatten();
            self.child = Some(child);
            if let Some(address) = listening {
                return self.clients.lead_to(Some(Endpoint::Tcp(address)));
            }
            self.kill().await;
            assert!(Instant::now() < deadline, "instance {} does not start: {}", self.number, self.log().display());
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        let [first, second] = self.database.each_ref().map(|link| link.address);
        let database = format!(
            "postgresql://authy@127.0.0.1:{},127.0.0.1:{}/authy?target_session_attrs=read-write",
            first.port(),
            second.port()
        );
        let broker = format!("amqp://authy:{}@{}/{}", authy_tests::rabbit::PASSWORD, self.broker.address, self.host);
        command.env_clear().envs([
            ("AUTHY_LISTEN", "127.0.0.1:0"),
            ("AUTHY_DATABASE_URL", &database),
            ("AUTHY_MASTER_KEY", &self.keys.to_base64()),
            ("AUTHY_AMQP_URL", &broker),
            ("AUTHY_ISSUER", SERVER_PROCESS_ISSUER),
            ("AUTHY_MAX_STALENESS", &format!("{}s", MAX_STALENESS.as_secs())),
            ("AUTHY_ARGON2", "m=8,t=1,p=1"),
            ("AUTHY_LOG_FORMAT", "json"),
        ]);
        for limit in ["LOGIN", "REGISTER", "VALIDATE", "FORGOT", "DEFAULT"] {
            command.env(format!("AUTHY_LIMIT_{limit}"), "off");
        }
        if has_fake_clock() {
            command.envs([
                ("LD_PRELOAD", OsString::from(FAKETIME)),
                ("FAKETIME_TIMESTAMP_FILE", self.clock().into_os_string()),
                // The file is read once a second, because it is read by every look at the clock otherwise.
                ("FAKETIME_CACHE_DURATION", "1".into()),
                ("DONT_FAKE_MONOTONIC", "1".into()),
            ]);
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // A group of its own: Control-C at the terminal is for the test alone, and the watchdog ends it.
        command.kill_on_drop(true).process_group(0);
        command
    }

    fn clock(&self) -> PathBuf {
        self.folder.join(format!("clock-{}", self.number))
    }

    /// Sets how far the wall clock is ahead.
    pub(super) fn set_clock(&self, seconds: i64) {
        let (clock, new) = (self.clock(), self.folder.join("clock.new"));
        fs::write(&new, format!("{seconds:+}")).unwrap();
        fs::rename(new, clock).unwrap();
    }

    /// Kills it, frozen or not.
    pub(super) async fn kill(&mut self) {
        self.clients.lead_to(None);
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Stops it in order, and waits until it has ended.
    pub(super) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        if let Some(mut child) = self.child.take() {
            let ended = timeout(Duration::from_secs(30), child.wait()).await;
            assert!(ended.is_ok(), "instance {} does not stop: {}", self.number, self.log().display());
        }
        self.clients.lead_to(None);
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id()?.cast_signed()));
        kill_process(pid.unwrap(), signal).unwrap();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Killed with the child; a signal that it cannot get while it is frozen.
        drop(self.child.take());
    }
}

/// What a network does that fails in this way.
pub(super) fn mode(cut: Cut) -> Mode {
    match cut {
        Cut::Ends => Mode::Cut,
        Cut::Hangs => Mode::Hung,
    }
}
