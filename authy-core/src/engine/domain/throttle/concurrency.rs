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

/// Maximum number of running attempts. Without a failure on record they are counted when they end, so this is also the
/// number of guesses by which each server can exceed the limit; one less than the number of failures without a wait, so
/// that four wrong passwords alone do not slow an account.
pub(super) const MAX_UNDER_WAY: usize = 4;

/// Maximum number of running and waiting attempts. More are refused immediately.
const MAX_PLACES: usize = 64;

/// Maximum wait for other attempts: about as long as a password waits for its hash.
pub(in crate::engine) const MAX_ATTEMPT_WAIT: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct ConcurrencyLimiter(Mutex<HashMap<String, Target>>);

struct Target {
    semaphore: Arc<Semaphore>,
    /// The number of attempts, running or waiting.
    places: usize,
}

/// A place of an attempt at a target, until it is dropped. It waits until it has a permit.
pub(super) struct Place {
    limiter: Arc<ConcurrencyLimiter>,
    key: String,
    semaphore: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl ConcurrencyLimiter {
    /// Takes a place, without waiting.
    ///
    /// # Errors
    /// `overloaded` when there is none.
    pub(super) fn enter(self: &Arc<Self>, key: &str) -> Result<Place> {
        let mut targets = self.lock();
        let target = targets
            .entry(key.to_owned())
            .or_insert_with(|| Target { semaphore: Arc::new(Semaphore::new(MAX_UNDER_WAY)), places: 0 });
        if target.places >= MAX_PLACES {
            return Err(too_many_waiting());
        }
        target.places += 1;
        Ok(Place { limiter: self.clone(), key: key.to_owned(), semaphore: target.semaphore.clone(), permit: None })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().len()
    }

    // The code under the lock cannot panic in the middle of a change.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Target>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for a permit to run, in the order of the calls.
    ///
    /// # Errors
    /// `overloaded` when the wait takes too long.
    pub(super) async fn acquire(&mut self) -> Result<()> {
        if self.permit.is_none() {
            let acquired = timeout(MAX_ATTEMPT_WAIT, self.semaphore.clone().acquire_owned()).await;
            self.permit = Some(acquired.map_err(|_| too_many_waiting())?.map_err(|_| too_many_waiting())?);
        }
        Ok(())
    }

    /// Lets another attempt run, and keeps the place.
    pub(super) fn release(&mut self) {
        self.permit = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permit = None;
        let mut targets = self.limiter.lock();
        if let Some(target) = targets.get_mut(&self.key) {
            target.places -= 1;
            if target.places == 0 {
                targets.remove(&self.key);
            }
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

    /// Takes places with a permit.
    async fn running(limiter: &Arc<ConcurrencyLimiter>, number: usize) -> Vec<Place> {
        let mut places = Vec::new();
        for _ in 0..number {
            let mut place = limiter.enter("one").unwrap();
            place.acquire().await.unwrap();
            places.push(place);
        }
        places
    }

    #[tokio::test]
    async fn the_maximum_number_of_attempts_runs_and_the_next_waits_for_one_to_end_or_to_pause() {
        let limiter = Arc::new(ConcurrencyLimiter::default());
        let mut under_way = running(&limiter, MAX_UNDER_WAY).await;
        limiter.enter("another").unwrap().acquire().await.unwrap();
        for pauses in [false, true] {
            let mut next = limiter.enter("one").unwrap();
            let waiting = tokio::spawn(async move { next.acquire().await.map(|()| next) });
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            match pauses {
                true => under_way[0].release(),
                false => drop(under_way.pop()),
            }
            under_way.push(timeout(MAX_ATTEMPT_WAIT, waiting).await.unwrap().unwrap().unwrap());
        }
        drop(under_way);
        assert_eq!(limiter.len(), 0, "no target is kept");
    }

    #[tokio::test]
    async fn too_many_attempts_are_refused_at_once_and_abandoned_ones_are_removed() {
        let limiter = Arc::new(ConcurrencyLimiter::default());
        let mut places = running(&limiter, MAX_UNDER_WAY).await;
        places.extend((MAX_UNDER_WAY..MAX_PLACES).map(|_| limiter.enter("one").unwrap()));
        let mut last = places.pop().unwrap();
        let mut wait = Box::pin(last.acquire());
        assert!(futures_util::poll!(&mut wait).is_pending());
        assert_eq!(limiter.enter("one").err().unwrap().kind(), ErrorKind::Overloaded);
        drop(wait);
        drop(last);
        drop(limiter.enter("one").unwrap());
        drop(places);
        assert_eq!(limiter.len(), 0);
    }
}
