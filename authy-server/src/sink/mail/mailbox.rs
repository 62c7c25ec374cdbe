//! The mails of a test, in memory.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authy_core::{
    Email, Secret,
    engine::{Notification, NotificationKind},
};
use tokio::time::{Instant, sleep};

/// Maximum time for a mail to arrive: enough for a machine that runs many tests at a time.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two looks.
const ARRIVAL_POLL: Duration = Duration::from_millis(5);

/// A mail that a test reads.
#[derive(Clone)]
#[non_exhaustive]
pub struct TestMail {
    /// The recipient.
    pub to: Email,
    /// The kind.
    pub kind: NotificationKind,
    /// The subject.
    pub subject: String,
    /// The text, without the markup of HTML.
    pub text: String,
    /// The one-time code.
    pub code: Option<Secret>,
    /// The link with the code, where there is a page.
    pub link: Option<String>,
}

/// A mailbox that gets the mails to all users, for [`Mails::test`](super::Mails::test). Cheap to clone; clones share the mails.
#[derive(Clone, Debug, Default)]
pub struct TestMailbox(Arc<Mutex<Vec<Arrived>>>);

#[derive(Debug)]
struct Arrived {
    /// Unique to the mail: it may be sent again.
    name: String,
    mail: TestMail,
    is_taken: bool,
}

impl TestMailbox {
    /// Creates an empty mailbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns all mails, oldest first. Mails are sent after what they are about has been answered, so the last ones may
    /// still be missing: see [`take`](Self::take).
    pub fn list(&self) -> Vec<TestMail> {
        self.arrived().iter().map(|arrived| arrived.mail.clone()).collect()
    }

    /// Waits for a mail of this kind to this address, and returns it: the oldest that was not taken before.
    ///
    /// # Panics
    /// When none arrives within 30 seconds. The message lists the mails that are there.
    pub async fn take(&self, to: &str, kind: NotificationKind) -> TestMail {
        let begun = Instant::now();
        loop {
            if let Some(mail) = self.find_untaken(to, kind) {
                return mail;
            }
            let kind = kind.as_str();
            assert!(begun.elapsed() < ARRIVAL_TIMEOUT, "no mail {kind} to {to} arrived; there is {:?}", self.list());
            sleep(ARRIVAL_POLL).await;
        }
    }

    fn find_untaken(&self, to: &str, kind: NotificationKind) -> Option<TestMail> {
        let mut arrived = self.arrived();
        let is_meant = |it: &&mut Arrived| !it.is_taken && it.mail.kind == kind && it.mail.to.as_str() == to;
        let found = arrived.iter_mut().find(is_meant)?;
        found.is_taken = true;
        Some(found.mail.clone())
    }

    /// Receives a mail. One that is sent again is received once.
    pub(super) fn receive(&self, name: String, mail: TestMail) {
        let mut arrived = self.arrived();
        if arrived.iter().all(|arrived| arrived.name != name) {
            arrived.push(Arrived { name, mail, is_taken: false });
        }
    }

    fn arrived(&self) -> MutexGuard<'_, Vec<Arrived>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TestMail {
    pub(super) fn new(notification: &Notification, subject: String, text: String, link: Option<String>) -> Self {
        let Notification { kind, to, code, .. } = notification.clone();
        Self { to, kind, subject, text, code, link }
    }
}

/// Without the text and the link, which contain the code.
impl fmt::Debug for TestMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, kind, subject, .. } = self;
        f.debug_struct("TestMail").field("to", to).field("kind", kind).field("subject", subject).finish_non_exhaustive()
    }
}
