//! The concurrency limiter: at most four attempts at the same target run in this process, the others wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{Error, ErrorKind, Result};

/// Maximum number of running attempts: one less than the number of failures without a wait, so that correct passwords
/// do not delay each other when there was no wrong one.
const MAX_UNDER_WAY: usize = 4;

/// Maximum number of running and waiting attempts. More are refused immediately.
const MAX_WAITING: usize = 64;

/// Maximum wait for other attempts: about as long as a password waits for its hash.
pub(super) const MAX_ATTEMPT_WAIT: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct ConcurrencyLimiter(Mutex<HashMap<String, Arc<Semaphore>>>);

/// A permit to run, until it is dropped.
pub(super) struct Permit {
    limiter: Arc<ConcurrencyLimiter>,
    key: String,
    semaphore: Option<Arc<Semaphore>>,
    acquired: Option<OwnedSemaphorePermit>,
}

impl ConcurrencyLimiter {
    /// Waits for a permit.
    ///
    /// # Errors
    /// `overloaded` when too many attempts wait, or the wait takes too long.
    pub(super) async fn acquire(self: &Arc<Self>, key: &str) -> Result<Permit> {
        let semaphore = {
            let mut targets = self.lock();
            targets.entry(key.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(MAX_UNDER_WAY))).clone()
        };
        // Every reference besides those of the table and of this function is running or waiting. Created first, so that
        // its drop also cleans up when the caller is refused or leaves.
        let mut permit =
            Permit { limiter: self.clone(), key: key.to_owned(), semaphore: Some(semaphore.clone()), acquired: None };
        // One reference in the table, and two per attempt: its own, and that of its permit or its wait.
        if Arc::strong_count(&semaphore) > 2 * MAX_WAITING + 1 {
            return Err(too_many_waiting());
        }
        let acquired = timeout(MAX_ATTEMPT_WAIT, semaphore.acquire_owned()).await;
        permit.acquired = Some(acquired.map_err(|_| too_many_waiting())?.map_err(|_| too_many_waiting())?);
        Ok(permit)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().len()
    }

    // The code under the lock cannot panic in the middle of a change.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut targets = self.limiter.lock();
        drop((self.acquired.take(), self.semaphore.take()));
        // Only the table has a reference.
        if targets.get(&self.key).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            targets.remove(&self.key);
        }
    }
}

pub(super) fn too_many_waiting() -> Error {
    Error::new(ErrorKind::Overloaded, "too many attempts at the same account are waiting")
        .with_retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_maximum_number_of_attempts_runs_and_the_next_waits_for_one_to_end() {
        let limiter = Arc::new(ConcurrencyLimiter::default());
        let mut under_way = Vec::new();
        for _ in 0..MAX_UNDER_WAY {
            under_way.push(limiter.acquire("one").await.unwrap());
        }
        limiter.acquire("another").await.unwrap();
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire("one").await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        under_way.pop();
        timeout(MAX_ATTEMPT_WAIT, waiting).await.unwrap().unwrap().unwrap();
        drop(under_way);
        assert_eq!(limiter.len(), 0, "no target is kept");
    }

    #[tokio::test]
    async fn too_many_attempts_are_refused_at_once_and_abandoned_ones_are_removed() {
        let limiter = Arc::new(ConcurrencyLimiter::default());
        let mut under_way = Vec::new();
        for _ in 0..MAX_UNDER_WAY {
            under_way.push(limiter.acquire("one").await.unwrap());
        }
        let mut waiting: Vec<_> = (0..2 * MAX_WAITING).map(|_| Box::pin(limiter.acquire("one"))).collect();
        let mut refused = 0;
        for wait in &mut waiting {
            if let std::task::Poll::Ready(answer) = futures_util::poll!(wait) {
                assert_eq!(answer.err().unwrap().kind(), ErrorKind::Overloaded);
                refused += 1;
            }
        }
        assert!((MAX_WAITING..2 * MAX_WAITING).contains(&refused), "{refused}");
        drop((waiting, under_way));
        assert_eq!(limiter.len(), 0);
    }
}
