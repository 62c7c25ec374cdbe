//! What goes on while nobody asks: following revocations, telling the sinks, and upkeep.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};

use super::{
    Authy, Sink,
    fault::{self, Track},
    feed::{self, Batch, RevocationSnapshot, SelfTest},
};
use crate::{Result, api::session::RevocationPage, revocation::Cursor};

/// How old what is known here may be to begin a stream with, instead of reading it from the database: a few polls.
const AS_GOOD_AS_NEW: Duration = Duration::from_secs(1);

/// The background work; dropping this ends it.
#[must_use = "dropped, it ends the background work"]
#[derive(Debug)]
pub struct Background(Vec<JoinHandle<()>>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Authy {
    /// Starts the background work. With it a token is checked without asking the database, and keys are replaced by
    /// themselves; without it the database is asked each time: slower, and just as right.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is away.
    pub async fn start_background(&self) -> Result<Background> {
        self.start_background_with(Vec::new()).await
    }

    /// Starts the background work, and tells these sinks of every event from now on, or from where they were told last.
    ///
    /// # Errors
    /// As [`start_background`](Self::start_background).
    pub async fn start_background_with(&self, sinks: Vec<Arc<dyn Sink>>) -> Result<Background> {
        let cursor = self.feed().prime(self.db()).await?;
        let (follower, keeper) = (self.clone(), self.clone());
        let names = sinks.iter().map(|sink| sink.name().to_owned()).collect();
        let mut tasks = vec![
            tokio::spawn(fault::on(Track::Follow, async move {
                follower.feed().follow(follower.db(), follower.ring(), cursor).await
            })),
            tokio::spawn(fault::on(Track::Upkeep, async move { keeper.keep_up(names).await })),
        ];
        if let Some(interval) = self.config().self_test {
            let (feed, db) = (self.feed().clone(), self.0.db.clone());
            tasks.push(tokio::spawn(fault::on(Track::Follow, feed.test_for_ever(db, interval))));
        }
        for sink in sinks {
            // Before anything can happen that it should be told of.
            self.prepare_relay(&*sink).await?;
            tasks.push(tokio::spawn(fault::on(Track::Relay, self.clone().relay(sink))));
        }
        Ok(Background(tasks))
    }

    /// What is void now, or what became so since a cursor.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is away.
    pub async fn revocations(&self, after: Option<&Cursor>) -> Result<RevocationPage> {
        let Batch { revocations, cursor, as_of_ms, .. } = feed::read(self.db(), after).await?;
        Ok(RevocationPage { revocations, cursor, as_of_ms })
    }

    /// Returns the result of the last self-test of revocations; `None` before the first one, and without
    /// [`Config::self_test`](super::Config::self_test).
    pub fn self_test(&self) -> Option<SelfTest> {
        self.feed().tested()
    }

    /// Returns what is void now, or since a cursor, as the body of an answer: from memory, as of the last poll. It does not query
    /// the database, and serializes once per poll.
    ///
    /// Needs the [background work](Self::start_background).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the last poll that succeeded is older than
    /// [`Config::max_staleness`](super::Config::max_staleness).
    pub fn revocation_snapshot(&self, after: Option<&Cursor>) -> Result<RevocationSnapshot> {
        self.feed().snapshot(after, self.config().max_staleness)
    }

    /// What is void now, or since a cursor, and then everything that becomes void, for ever. As long as this instance is up
    /// to date there is a batch at least every second; an empty one says that there is nothing new.
    ///
    /// All followers share the batches, but for the first one and those that they were too slow for.
    ///
    /// Needs the [background work](Self::start_background).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is away.
    pub async fn follow_revocations(
        &self,
        after: Option<&Cursor>,
    ) -> Result<impl Stream<Item = Arc<Batch>> + Send + use<>> {
        // First the ear, then the question: what becomes void in between is told twice, and that does no harm.
        let live = self.feed().subscribe();
        // A follower takes the beginning of its stream to be as new as its request.
        let begin = match self.feed().since(after, AS_GOOD_AS_NEW) {
            Ok(begin) => begin,
            Err(_) => feed::read(self.db(), after).await?,
        };
        let begin = Arc::new(begin);
        let state = (self.clone(), live, begin.cursor);
        let rest = stream::unfold(state, |(authy, mut live, cursor)| async move {
            let batch = match live.recv().await {
                Ok(batch) => batch,
                // Too far behind: the database knows what was missed.
                Err(RecvError::Lagged(_)) => Arc::new(feed::read(authy.db(), Some(&cursor)).await.ok()?),
                Err(RecvError::Closed) => return None,
            };
            let cursor = batch.cursor;
            Some((batch, (authy, live, cursor)))
        });
        Ok(stream::once(async { begin }).chain(rest))
    }
}
