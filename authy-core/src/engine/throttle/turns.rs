//! Turns: of those who try the same thing at once in this process, so many are under way, and the others wait for them.

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

/// One less than may fail without a wait: as long as none did, nobody who is right is held up by others who are.
const UNDER_WAY: usize = 4;

/// Under way and waiting: more than these are turned away at once.
const CROWD: usize = 64;

/// How long anybody waits for others: about as long as a password waits for its hash.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Arc<Semaphore>>>);

/// One's turn, until it is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    key: String,
    semaphore: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits for one's turn.
    ///
    /// # Errors
    /// `overloaded` when too many wait, or it takes too long.
    pub(super) async fn take(self: &Arc<Self>, key: &str) -> Result<Turn> {
        let semaphore = {
            let mut turns = self.lock();
            turns.entry(key.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(UNDER_WAY))).clone()
        };
        // Whoever knows it besides the table and this function is under way or waits. Made first, so that a caller who is
        // turned away or leaves tidies up as well.
        let mut turn =
            Turn { turns: self.clone(), key: key.to_owned(), semaphore: Some(semaphore.clone()), permit: None };
        // The table has it, and each has it twice: itself, and in its permit or the wait for it.
        if Arc::strong_count(&semaphore) > 2 * CROWD + 1 {
            return Err(crowded());
        }
        let permit = timeout(PATIENCE, semaphore.acquire_owned()).await;
        turn.permit = Some(permit.map_err(|_| crowded())?.map_err(|_| crowded())?);
        Ok(turn)
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

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.turns.lock();
        drop((self.permit.take(), self.semaphore.take()));
        // The table is the last who knows it.
        if turns.get(&self.key).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            turns.remove(&self.key);
        }
    }
}

pub(super) fn crowded() -> Error {
    Error::new(ErrorKind::Overloaded, "too many attempts at the same account wait").retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_are_under_way_and_the_next_waits_for_one_to_end() {
        let turns = Arc::new(Turns::default());
        let mut under_way = Vec::new();
        for _ in 0..UNDER_WAY {
            under_way.push(turns.take("one").await.unwrap());
        }
        turns.take("another").await.unwrap();
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take("one").await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        under_way.pop();
        timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
        drop(under_way);
        assert_eq!(turns.len(), 0, "nobody is remembered");
    }

    #[tokio::test]
    async fn a_crowd_is_turned_away_at_once_and_who_leaves_is_forgotten() {
        let turns = Arc::new(Turns::default());
        let mut under_way = Vec::new();
        for _ in 0..UNDER_WAY {
            under_way.push(turns.take("one").await.unwrap());
        }
        let mut waiting: Vec<_> = (0..2 * CROWD).map(|_| Box::pin(turns.take("one"))).collect();
        let mut refused = 0;
        for wait in &mut waiting {
            if let std::task::Poll::Ready(answer) = futures_util::poll!(wait) {
                assert_eq!(answer.err().unwrap().kind(), ErrorKind::Overloaded);
                refused += 1;
            }
        }
        assert!((CROWD..2 * CROWD).contains(&refused), "{refused}");
        drop((waiting, under_way));
        assert_eq!(turns.len(), 0);
    }
}
