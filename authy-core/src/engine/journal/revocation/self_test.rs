//! The self-test of revocations: revokes a session that does not exist, at intervals, so that a fault is noticed before a user
//! depends on it.

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

/// Within what time a revocation has to be in force: what authy promises.
const PROMISED: Duration = Duration::from_secs(1);

/// How long the self-test goes on looking for one that is late, to say how late it is. The row is kept for as long.
const LATEST: Duration = Duration::from_secs(20);

/// What the last self-test of revocations found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfTest {
    /// The time from the commit of the revocation until it was in force here and had been sent to followers; `None` when that
    /// took more than 20 seconds.
    pub delay: Option<Duration>,
    /// The step that was late or did not happen; `None` when everything was in time.
    pub failed: Option<SelfTestFailure>,
}

/// The step that was late in a self-test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelfTestFailure {
    /// A revocation could not be written into the database within a second.
    #[error("it could not be written into the database")]
    Write,
    /// No poll found it within a second, neither by itself nor because of a notification.
    #[error("no poll of the database found it")]
    Poll,
    /// A poll found it, and it was not sent to followers within a second.
    #[error("it was not sent to followers")]
    Broadcast,
}

impl RevocationFeed {
    /// Tests once per interval, without end.
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
        let seconds = LATEST.as_secs_f64();
        match timeout(LATEST, self.db.write_quietly(&sql::REVOKE_TEST_SESSION, &[session.as_uuid(), &seconds])).await {
            Ok(Ok(_)) if begun.elapsed() < PROMISED => {}
            _ => return SelfTest { delay: None, failed: Some(SelfTestFailure::Write) },
        }
        // As after any commit, so that the notification is tested too.
        let committed = Instant::now();
        self.notify_others();
        let is_it = |revocation: &Revocation| revocation.tokens == mark;
        let arrived = timeout(LATEST, async {
            loop {
                match sent.recv().await {
                    Ok(batch) if batch.revocations.iter().any(is_it) => return true,
                    Ok(_) => {}
                    // It was among those that were dropped: then it is in the set.
                    Err(RecvError::Lagged(_)) if self.revokes_session(&hash) => return true,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return false,
                }
            }
        });
        let delay = arrived.await.is_ok_and(|arrived| arrived).then(|| committed.elapsed());
        let failed = match delay {
            Some(delay) if delay <= PROMISED => None,
            Some(_) => Some(SelfTestFailure::Poll),
            None if self.revokes_session(&hash) => Some(SelfTestFailure::Broadcast),
            None => Some(SelfTestFailure::Poll),
        };
        SelfTest { delay, failed }
    }
}
