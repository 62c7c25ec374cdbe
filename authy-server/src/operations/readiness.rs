//! Whether the server should get requests.

use std::{
    borrow::Cow,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use authy_core::Authy;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// Maximum time for the answer of the database. Load balancers wait for one to five seconds.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for which an answer of the database is used again, so that requests for the readiness are no load.
const DATABASE_CACHE: Duration = Duration::from_secs(1);

/// Determines whether the server should get requests.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    is_stopping: AtomicBool,
    /// When the database was asked, and whether it accepts writes.
    database: Mutex<Option<(Instant, bool)>>,
}

/// Whether a server should get requests, and the checks that decide it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReadinessReport {
    /// Whether every check passed.
    pub(crate) ready: bool,
    /// The checks, each once.
    pub(crate) checks: Vec<Check>,
}

/// A check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    name: Cow<'static, str>,
    ready: bool,
    /// Why it did not pass. Contains no address and nothing from the outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'static, str>>,
}

impl Readiness {
    /// Records that the server is about to stop.
    pub(crate) fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Returns whether the server is about to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Checks everything.
    pub(crate) async fn report(&self, authy: &Authy) -> ReadinessReport {
        let check = |name, ready, message| Check {
            name: Cow::Borrowed(name),
            ready,
            message: (!ready).then_some(Cow::Borrowed(message)),
        };
        let checks = vec![
            check("running", !self.is_stopping(), "the server is stopping"),
            check("database", self.accepts_writes(authy).await, "the database does not answer, or accepts no writes"),
            check("revocations", authy.revocations().is_current(), "the known revocations are too old"),
            check("signing_key", authy.keys().can_sign(), "no signing key is in force"),
        ];
        ReadinessReport { ready: checks.iter().all(|check| check.ready), checks }
    }

    async fn accepts_writes(&self, authy: &Authy) -> bool {
        // All who ask meanwhile wait for the same answer.
        let mut known = self.database.lock().await;
        if let Some((asked, accepts)) = *known
            && asked.elapsed() < DATABASE_CACHE
        {
            return accepts;
        }
        let accepts = matches!(timeout(DATABASE_TIMEOUT, authy.check_writable()).await, Ok(Ok(())));
        *known = Some((Instant::now(), accepts));
        accepts
    }
}

/// The checks that did not pass, for people.
impl fmt::Display for ReadinessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, check) in self.checks.iter().filter(|check| !check.ready).enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{}", check.name)?;
            if let Some(message) = &check.message {
                write!(f, " ({message})")?;
            }
        }
        Ok(())
    }
}
