//! The self-test of revocation: revokes a session that does not exist, at regular intervals, so that a fault is noticed
//! before it affects a user.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep, timeout},
};

use super::{RevocationFeed, sql};
use crate::{
    SessionId,
    revocation::{IdHash, Revocation, RevokedTokens},
};

/// Maximum time until a revocation is in force, which authy guarantees.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Time for which the self-test waits for a late revocation, to report its delay. The row is kept for the same time.
const LATE_TIMEOUT: Duration = Duration::from_secs(20);

/// The result of the last self-test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfTest {
    /// The time from the commit of the revocation until it was in force here and sent to followers; `None` when that
    /// took more than 20 seconds.
    pub delay: Option<Duration>,
    /// The step that was late or did not occur; `None` when everything was in time.
    pub failed: Option<SelfTestFailure>,
}

/// The step of a self-test that was late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelfTestFailure {
    /// The revocation was not written to the database within one second.
    #[error("it was not written to the database")]
    Write,
    /// No poll found the revocation within one second, neither the regular one nor one after a notification.
    #[error("no poll of the database found it")]
    Poll,
    /// A poll found the revocation, but it was not sent to followers within one second.
    #[error("it was not sent to followers")]
    Broadcast,
}

impl RevocationFeed {
    /// Runs the test at regular intervals. Does not return.
    pub(in crate::engine) async fn test_at_intervals(self: Arc<Self>, interval: Duration) {
        loop {
            sleep(interval).await;
            let found = self.test().await;
            if let Some(failed) = found.failed {
                let delay_ms = found.delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
                tracing::warn!(delay_ms, reason = %failed, "the self-test of revocations failed: one was not in force within a second");
            }
            self.tested.send_replace(Some(found));
        }
    }

    async fn test(self: &Arc<Self>) -> SelfTest {
        let session = SessionId::random();
        let hash = IdHash::of_session(session);
        let mark = RevokedTokens::Session { session: hash };
        let mut sent = self.subscribe();
        let begun = Instant::now();
        let seconds = LATE_TIMEOUT.as_secs_f64();
        match timeout(LATE_TIMEOUT, self.db.write_quietly(&sql::REVOKE_TEST_SESSION, &[session.as_uuid(), &seconds]))
            .await
        {
            Ok(Ok(_)) if begun.elapsed() < MAX_DELAY => {}
            _ => return SelfTest { delay: None, failed: Some(SelfTestFailure::Write) },
        }
        // As after any commit, so that the notification is tested, too.
        let committed = Instant::now();
        self.notify_others();
        let is_it = |revocation: &Revocation| revocation.tokens == mark;
        let arrived = timeout(LATE_TIMEOUT, async {
            loop {
                match sent.recv().await {
                    Ok(batch) if batch.revocations.iter().any(is_it) => return true,
                    Ok(_) => {}
                    // The revocation may be among the missed batches. Then it is in the set.
                    Err(RecvError::Lagged(_)) if self.revokes_session(&hash) => return true,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return false,
                }
            }
        });
        let delay = arrived.await.is_ok_and(|arrived| arrived).then(|| committed.elapsed());
        let failed = match delay {
            Some(delay) if delay <= MAX_DELAY => None,
            Some(_) => Some(SelfTestFailure::Poll),
            None if self.revokes_session(&hash) => Some(SelfTestFailure::Broadcast),
            None => Some(SelfTestFailure::Poll),
        };
        SelfTest { delay, failed }
    }
}
