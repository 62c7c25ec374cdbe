//! The concurrency limiter: of the attempts at the same target in this process, four are under way, and the others wait.

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

/// Maximum attempts under way: one less than may fail without a wait, so that right passwords do not hold each other up as long
/// as none was wrong.
const MAX_UNDER_WAY: usize = 4;

/// Maximum attempts under way and waiting. More are refused at once.
const MAX_WAITING: usize = 64;

/// Maximum wait for the others: about as long as a password waits for its hash.
pub(super) const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct ConcurrencyLimiter(Mutex<HashMap<String, Arc<Semaphore>>>);

/// A permit to go on, until it is dropped.
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
    /// `overloaded` when too many wait, or it takes too long.
    pub(super) async fn acquire(self: &Arc<Self>, key: &str) -> Result<Permit> {
        let semaphore = {
            let mut targets = self.lock();
            targets.entry(key.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(MAX_UNDER_WAY))).clone()
        };
        // Each further reference than those of the table and this function is under way or waits. Made first, so that a caller
        // who is refused or leaves tidies up as well.
        let mut permit =
            Permit { limiter: self.clone(), key: key.to_owned(), semaphore: Some(semaphore.clone()), acquired: None };
        // The table has it, and each has it twice: itself, and in its permit or the wait for it.
        if Arc::strong_count(&semaphore) > 2 * MAX_WAITING + 1 {
            return Err(crowded());
        }
        let acquired = timeout(WAIT_TIMEOUT, semaphore.acquire_owned()).await;
        permit.acquired = Some(acquired.map_err(|_| crowded())?.map_err(|_| crowded())?);
        Ok(permit)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().len()
    }

    // Nothing under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut targets = self.limiter.lock();
        drop((self.acquired.take(), self.semaphore.take()));
        // Only the table still has it.
        if targets.get(&self.key).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            targets.remove(&self.key);
        }
    }
}

pub(super) fn crowded() -> Error {
    Error::new(ErrorKind::Overloaded, "too many attempts at the same account wait")
        .with_retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_are_under_way_and_the_next_waits_for_one_to_end() {
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
        timeout(WAIT_TIMEOUT, waiting).await.unwrap().unwrap().unwrap();
        drop(under_way);
        assert_eq!(limiter.len(), 0, "nobody is remembered");
    }

    #[tokio::test]
    async fn a_crowd_is_turned_away_at_once_and_who_leaves_is_forgotten() {
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
