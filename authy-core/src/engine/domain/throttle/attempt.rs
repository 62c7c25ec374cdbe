//! One guess: its turn, whether it may be verified, and its outcome.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;
use tracing::Instrument as _;

use super::{
    Outcome,
    concurrency::Place,
    record::{Admission, Record},
    sql,
    standing::Standing,
};
use crate::{Error, ErrorKind, Result};

/// A guess. A dropped one (its caller has gone, for example) has failed, unless it was correct, or only waited for its turn
/// or to be verified: in a storm, callers who give up would be slowed as if they had guessed.
pub(in crate::engine) struct Attempt {
    // Taken when the outcome is known.
    record: Option<Box<Record>>,
    key: String,
    is_admitted: bool,
    /// Whether it counts as failed when it is dropped.
    counts_dropped: Arc<AtomicBool>,
    // None when the guess is not verified: it does not delay others.
    place: Option<Place>,
    // An attempt may be dropped outside of it.
    runtime: Option<Handle>,
}

impl Attempt {
    pub(super) fn new(record: Record, place: Place) -> Self {
        let key = record.key.clone();
        let runtime = Handle::try_current().ok();
        Self {
            record: Some(Box::new(record)),
            key,
            is_admitted: false,
            counts_dropped: Arc::new(AtomicBool::new(true)),
            place: Some(place),
            runtime,
        }
    }

    /// Waits for its turn, and finds whether the guess may be verified.
    pub(super) async fn begin(&mut self, seen: Option<Standing>) -> Result<()> {
        self.resume().await?;
        let Some(record) = &mut self.record else { return Ok(()) };
        record.admit(seen).await?;
        self.is_admitted = !matches!(record.admission, Admission::Refused(_));
        if !self.is_admitted {
            record.counts.refused.fetch_add(1, Ordering::Relaxed);
            self.place = None;
        }
        Ok(())
    }

    /// Returns whether the guess may be verified. If not, the caller must get the same result as for a wrong guess,
    /// after the same work.
    pub(in crate::engine) fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// Returns whether the guess may be verified and is not counted, because nothing is on record.
    pub(in crate::engine) fn is_unreserved(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.is_uncounted())
    }

    /// Returns the time to wait, when the guess is not admitted because of failures at its account. Only for callers
    /// with a token: to others it would reveal that there were failures.
    pub(in crate::engine) fn wait(&self) -> Option<Duration> {
        match self.record.as_ref()?.admission {
            Admission::Refused(wait) => wait,
            _ => None,
        }
    }

    /// Returns the key of the count, for a statement that deletes the count when the guess is correct.
    pub(in crate::engine) fn key(&self) -> &str {
        &self.key
    }

    /// Lets another attempt run instead of an unreserved one, which waits and counts as nothing until it
    /// [begins again](Self::begin_again).
    pub(in crate::engine) fn pause(&mut self) {
        if let (Some(record), Some(place)) = (&mut self.record, &mut self.place) {
            record.admission = Admission::Waiting;
            place.release();
        }
    }

    /// Waits for a turn, without which an attempt does nothing that takes long. It is not verified.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when the wait takes too long.
    pub(in crate::engine) async fn resume(&mut self) -> Result<()> {
        match &mut self.place {
            Some(place) => place.acquire().await,
            None => Ok(()),
        }
    }

    /// Begins a paused guess anew: it may be verified or not, as if it came now.
    ///
    /// # Errors
    /// As [`GuessLimiter::attempt`].
    pub(in crate::engine) async fn begin_again(&mut self) -> Result<()> {
        self.begin(None).await
    }

    /// Notes that the guess will wait to be verified, and whether it counts meanwhile. Returns what must be called when the
    /// verification begins.
    pub(in crate::engine) fn queued(&self, counts: bool) -> impl FnOnce() + Send + use<> {
        self.counts_dropped.store(counts, Ordering::Relaxed);
        let counts_dropped = self.counts_dropped.clone();
        move || counts_dropped.store(true, Ordering::Relaxed)
    }

    /// Notes that the guess is correct: it has not failed when its caller leaves.
    pub(in crate::engine) fn passed(&self) {
        self.counts_dropped.store(false, Ordering::Relaxed);
    }

    /// Ends a correct guess, after a statement has deleted the count.
    pub(in crate::engine) fn settled(mut self) {
        self.record = None;
    }

    /// Ends a guess: correct, or else wrong or not admitted. A wrong one is recorded also when the caller leaves
    /// meanwhile.
    pub(in crate::engine) async fn end(mut self, outcome: Outcome) -> Result<()> {
        match (self.record.take(), outcome) {
            (None, _) => Ok(()),
            (Some(mut record), Outcome::Failed) => {
                if record.admission == Admission::Waiting {
                    record.admission = Admission::Unreserved;
                }
                let recorded = tokio::spawn(record_failure(record, self.place.take()).in_current_span());
                let ended = |cause| Error::with_source(ErrorKind::Internal, "a failed attempt was not recorded", cause);
                recorded.await.map_err(ended)?
            }
            (Some(record), Outcome::Succeeded) => record.note(&sql::CLEAR).await,
        }
    }

    /// Ends a guess that does not count: it was not verified, or it was correct and something else failed.
    pub(in crate::engine) async fn retract(mut self) {
        if let Some(record) = self.record.take() {
            take_back(record).await;
        }
    }
}

/// Takes a reservation back, if there is one.
async fn take_back(record: Box<Record>) {
    if matches!(record.admission, Admission::Reserved(_))
        && let Err(error) = record.note(&sql::RETRACT).await
    {
        tracing::warn!(%error, "an attempt that was not verified counts as a failure");
    }
}

/// Records a failure, and then lets another attempt run. When it cannot be counted, others wait until it is, because
/// nothing about it is on record.
async fn record_failure(mut record: Box<Record>, place: Option<Place>) -> Result<()> {
    let recorded = record.fail().await;
    if recorded.is_err() && record.is_uncounted() {
        let later = async move {
            record.fail_later().await;
            drop(place);
        };
        tokio::spawn(later.in_current_span());
    }
    recorded
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let place = self.place.take();
        let (Some(record), Some(runtime)) = (self.record.take(), self.runtime.take()) else { return };
        if record.admission == Admission::Waiting {
            return;
        }
        let counts = self.counts_dropped.load(Ordering::Relaxed);
        let work = async move {
            if !counts {
                take_back(record).await;
            } else if let Err(error) = record_failure(record, place).await {
                tracing::warn!(%error, "an abandoned attempt was not recorded");
            }
        };
        runtime.spawn(work.in_current_span());
    }
}
