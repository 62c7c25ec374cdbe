//! The log of a whole test run at `trace`, and every secret that was made in it: for the test that looks for the ones
//! in the other.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use tracing::{Dispatch, subscriber::NoSubscriber};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, filter_fn},
    fmt::{self, format::FmtSpan},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Names the folder in which the log and the secrets are files. Without it nothing is written.
pub const VARIABLE: &str = "AUTHY_TEST_TRACE";

fn secrets() -> Option<&'static Mutex<File>> {
    static SECRETS: OnceLock<Option<Mutex<File>>> = OnceLock::new();
    let begin = || {
        let folder = PathBuf::from(std::env::var_os(VARIABLE)?);
        let log = File::create(folder.join("log")).unwrap();
        // Only what the server itself leaves out, whatever its level.
        let log = fmt::layer().json().with_span_events(FmtSpan::NEW).with_writer(Mutex::new(log));
        let log = log.with_filter(filter_fn(authy_server::may_be_logged));
        tracing_subscriber::registry().with(log).init();
        let mut open = OpenOptions::new();
        Some(Mutex::new(open.create(true).append(true).open(folder.join("secrets")).unwrap()))
    };
    SECRETS.get_or_init(begin).as_ref()
}

/// Begins to log, when this run is to be looked at.
pub fn begin() {
    let _ = secrets();
}

/// Notes a secret.
pub fn secret(kind: &str, secret: &str) {
    if let Some(secrets) = secrets() {
        writeln!(secrets.lock().unwrap(), "{kind} {secret}").unwrap();
    }
}

/// What this thread logs from now on, until it is dropped.
pub struct Captured {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Captured {
    /// Begins to keep what this thread logs, down to `INFO`.
    pub fn begin() -> Self {
        // While there is one subscriber only, tracing asks none but that of the thread that is the first to reach a message, and
        // remembers for all threads that nobody wants it.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(NoSubscriber::default()));
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = text.clone();
        let log = fmt::layer().with_ansi(false).with_writer(move || Writer(writer.clone()));
        let guard = tracing_subscriber::registry().with(log.with_filter(LevelFilter::INFO)).set_default();
        Self { text, _guard: guard }
    }

    /// The lines so far that contain all of these texts.
    pub fn lines(&self, parts: &[&str]) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned).collect()
    }
}

struct Writer(Arc<Mutex<Vec<u8>>>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
