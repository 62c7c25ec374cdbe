//! Follows what becomes void, for as long as the verifier lives: a stream of events, resumed where it broke.

use std::{error::Error as StdError, pin::Pin, sync::Arc, time::Duration};

use authy_core::{
    api::session::{GetRevocations, RevocationPage, RevocationQuery},
    revocation::{Cursor, RevokedTokens, SnapshotClock},
};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::{Stream, StreamExt as _};
use sse_stream::{Sse, SseStream};
use tokio::time::{Instant as Alarm, sleep, sleep_until, timeout_at};

use super::{Shared, Store};
use crate::{Error, Result};

/// The server says something every second. When it has not for so long, the connection is dead.
const SILENCE: Duration = Duration::from_secs(5);

type Events = Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>;

pub(super) struct Follower {
    shared: Arc<Shared>,
    store: Option<Store>,
    cursor: Option<Cursor>,
    stream: Option<EventStream>,
}

struct EventStream {
    events: Events,
    // When what an event says was true.
    snapshots: SnapshotClock,
    // When the server has been silent for too long.
    dead_at: Alarm,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, store: Option<Store>, cursor: Option<Cursor>) -> Self {
        Self { shared, store, cursor, stream: None }
    }

    /// Fetches the keys, opens the stream, and takes in all that is void now.
    pub(super) async fn connect(&mut self) -> Result<()> {
        let shared = &self.shared;
        let failed = |cause| Error::silence("the keys cannot be fetched", false).because(cause);
        shared.keys.renew().await.map_err(failed)?;
        let query = RevocationQuery { after: self.cursor };
        let snapshots = SnapshotClock::new(shared.clock.now());
        let body = shared.client.transport().events::<GetRevocations>(&query, shared.client.token().cloned()).await?;
        let events = Box::pin(SseStream::new(body));
        let mut stream = EventStream { events, snapshots, dead_at: Alarm::now() + SILENCE };
        // What is void now may come in several parts: only the last of them has an id.
        while self.take_in(stream.next().await?, &mut stream.snapshots).await?.is_none() {}
        self.stream = Some(stream);
        Ok(())
    }

    /// Takes in an event; how late it came, when it was the last part of what became void.
    async fn take_in(&mut self, event: Sse, snapshots: &mut SnapshotClock) -> Result<Option<Duration>> {
        let (page, is_last) = read(event)?;
        self.shared.apply(&page.revocations);
        if !is_last {
            return Ok(None);
        }
        self.cursor = Some(page.cursor);
        let now = self.shared.clock.now();
        let taken = snapshots.taken(page.as_of_ms, now);
        self.shared.freshness.set(taken);
        // A key that was revoked has a successor, which signs already.
        if page.revocations.iter().any(|revocation| matches!(revocation.tokens, RevokedTokens::Key { .. })) {
            refresh_keys(&self.shared).await;
        }
        Ok(Some(now.since(taken)))
    }

    /// Follows for ever.
    pub(super) async fn run(mut self) {
        let mut pauses = pauses();
        loop {
            let Some(stream) = self.stream.take() else {
                match self.connect().await {
                    Ok(()) => pauses = self::pauses(),
                    Err(error) => {
                        tracing::warn!(%error, "revocations cannot be followed: trying again");
                        sleep(pauses.next().unwrap_or(SILENCE)).await;
                    }
                }
                continue;
            };
            if let Err(error) = self.follow(stream).await {
                tracing::info!(%error, "following revocations anew");
            }
        }
    }

    /// Follows until the stream breaks.
    async fn follow(&mut self, mut stream: EventStream) -> Result<()> {
        let save_every = (self.shared.max_staleness / 4).clamp(Duration::from_secs(1), Duration::from_secs(10));
        // A connection that falls behind is made anew: it begins with all that is void now. So is one whose times cannot be
        // compared any more, because a clock was set.
        let too_late = self.shared.max_staleness.clamp(Duration::from_secs(1), SILENCE);
        let (mut keys_due, mut save_due) = (Alarm::now() + self.shared.keys.max_age(), Alarm::now());
        loop {
            tokio::select! {
                event = stream.next() => {
                    let late = self.take_in(event?, &mut stream.snapshots).await?;
                    if late.is_some_and(|late| late > too_late) {
                        return Err(Error::silence("the stream of revocations is late", false));
                    }
                }
                () = sleep_until(keys_due) => {
                    refresh_keys(&self.shared).await;
                    keys_due = Alarm::now() + self.shared.keys.max_age();
                }
                () = sleep_until(save_due), if self.store.is_some() => {
                    if let (Some(store), Some(cursor)) = (&self.store, self.cursor) {
                        store.save(self.shared.remember(cursor)).await;
                    }
                    save_due = Alarm::now() + save_every;
                }
            }
        }
    }
}

impl EventStream {
    /// The next event. Nothing is lost when this is dropped.
    async fn next(&mut self) -> Result<Sse> {
        match timeout_at(self.dead_at, self.events.next()).await {
            Ok(Some(event)) => {
                self.dead_at = Alarm::now() + SILENCE;
                event.map_err(broken)
            }
            Ok(None) => Err(Error::silence("the server ended the stream of revocations", false)),
            Err(_) => Err(Error::silence("the stream of revocations fell silent", false)),
        }
    }
}

/// What an event says, and whether it is the last part of what it tells.
pub(super) fn read(event: Sse) -> Result<(RevocationPage, bool)> {
    let page = serde_json::from_str(&event.data.unwrap_or_default()).map_err(broken)?;
    Ok((page, event.id.is_some()))
}

fn broken(cause: impl StdError + Send + Sync + 'static) -> Error {
    Error::silence("the stream of revocations broke", false).because(cause)
}

async fn refresh_keys(shared: &Shared) {
    if let Err(error) = shared.keys.renew().await {
        tracing::warn!(%error, "the keys of authy cannot be fetched: going on with those that are known");
    }
}

/// Quickly at first; later apart from each other, so that a server which comes back is not overrun.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .with_jitter()
        .build()
}
