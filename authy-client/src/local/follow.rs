//! Follows revocations as a stream of events, which is resumed after a failure, until the verifier is dropped.

use std::{error::Error as StdError, pin::Pin, sync::Arc, time::Duration};

use authy_core::{
    api::session::{GetRevocations, RevocationPage, RevocationQuery},
    revocation::{Cursor, RevokedTokens, SnapshotClock},
};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::{Stream, StreamExt as _};
use sse_stream::{Sse, SseStream};
use tokio::time::{Instant as Alarm, sleep, sleep_until, timeout_at};

use super::{snapshot_file::SnapshotFile, start_error::StartError, state::VerifierState};
use crate::{Error, Result};

/// Maximum time without an event. The server sends one every second, so the connection is broken.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(5);

type BoxedEvents = Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>;

pub(super) struct RevocationFollower {
    state: Arc<VerifierState>,
    file: Option<SnapshotFile>,
    cursor: Option<Cursor>,
    stream: Option<RevocationStream>,
}

struct RevocationStream {
    events: BoxedEvents,
    /// Converts the server's time of a snapshot.
    snapshots: SnapshotClock,
    /// When the connection counts as broken, unless an event arrives.
    dead_at: Alarm,
}

impl RevocationFollower {
    pub(super) fn new(state: Arc<VerifierState>, file: Option<SnapshotFile>, cursor: Option<Cursor>) -> Self {
        Self { state, file, cursor, stream: None }
    }

    /// Fetches the keys, opens the stream, and applies the revocations in force. Returns the setting by which the
    /// verifier refuses every token of the server, if there is one.
    pub(super) async fn connect(&mut self) -> Result<Option<StartError>> {
        let state = &self.state;
        let failed = |cause| Error::no_response("the keys cannot be fetched", false).with_source(cause);
        let mismatch = state.keys.renew().await.map_err(failed)?;
        let query = RevocationQuery { after: self.cursor };
        let snapshots = SnapshotClock::new(state.clock.now());
        let body = state.client.transport().events::<GetRevocations>(&query, state.client.token().cloned()).await?;
        let events = Box::pin(SseStream::new(body));
        let mut stream = RevocationStream { events, snapshots, dead_at: Alarm::now() + SILENCE_TIMEOUT };
        // They may arrive in several events: only the last of them has an id.
        while self.apply(stream.next().await?, &mut stream.snapshots).await?.is_none() {}
        self.stream = Some(stream);
        Ok(mismatch)
    }

    /// Applies an event. Returns how late it arrived, when it was the last of its batch.
    async fn apply(&mut self, event: Sse, snapshots: &mut SnapshotClock) -> Result<Option<Duration>> {
        let (page, is_last) = read(event)?;
        self.state.apply(&page.revocations);
        if !is_last {
            return Ok(None);
        }
        self.cursor = Some(page.cursor);
        let now = self.state.clock.now();
        let taken = snapshots.taken(page.as_of_ms, now);
        if self.state.server_clock.record(page.as_of_ms, taken, now) {
            // What was forgotten while the clock was ahead may be needed again.
            self.cursor = None;
            return Err(Error::no_response("a clock was set back: all revocations are read again", false));
        }
        self.state.forget(page.as_of_ms);
        self.state.freshness.set(taken);
        // A revoked key has a successor, which already signs.
        if page.revocations.iter().any(|revocation| matches!(revocation.tokens, RevokedTokens::Key { .. })) {
            refresh_keys(&self.state).await;
        }
        Ok(Some(now.since(taken)))
    }

    /// Follows until the task is aborted.
    pub(super) async fn run(mut self) {
        let mut pauses = pauses();
        loop {
            let Some(stream) = self.stream.take() else {
                match self.connect().await {
                    Ok(mismatch) => {
                        mismatch.iter().for_each(report);
                        pauses = self::pauses();
                    }
                    Err(error) => {
                        tracing::warn!(%error, "revocations cannot be followed: trying again");
                        sleep(pauses.next().unwrap_or(SILENCE_TIMEOUT)).await;
                    }
                }
                continue;
            };
            if let Err(error) = self.follow(stream).await {
                tracing::info!(%error, "reconnecting to the stream of revocations");
            }
        }
    }

    /// Follows until the stream breaks.
    async fn follow(&mut self, mut stream: RevocationStream) -> Result<()> {
        let save_every = (self.state.max_staleness / 4).clamp(Duration::from_secs(1), Duration::from_secs(10));
        // A connection that falls behind is replaced: the new one begins with all revocations in force. The same when a
        // clock was set, after which times cannot be compared.
        let too_late = self.state.max_staleness.clamp(Duration::from_secs(1), SILENCE_TIMEOUT);
        let (mut keys_due, mut save_due) = (Alarm::now() + self.state.keys.max_age(), Alarm::now());
        loop {
            tokio::select! {
                event = stream.next() => {
                    let late = self.apply(event?, &mut stream.snapshots).await?;
                    if late.is_some_and(|late| late > too_late) {
                        return Err(Error::no_response("the stream of revocations is late", false));
                    }
                }
                () = sleep_until(keys_due) => {
                    refresh_keys(&self.state).await;
                    keys_due = Alarm::now() + self.state.keys.max_age();
                }
                () = sleep_until(save_due), if self.file.is_some() => {
                    if let (Some(file), Some(cursor)) = (&self.file, self.cursor) {
                        file.save(self.state.to_saved(cursor)).await;
                    }
                    save_due = Alarm::now() + save_every;
                }
            }
        }
    }
}

impl RevocationStream {
    /// Returns the next event. Cancel safe.
    async fn next(&mut self) -> Result<Sse> {
        match timeout_at(self.dead_at, self.events.next()).await {
            Ok(Some(event)) => {
                self.dead_at = Alarm::now() + SILENCE_TIMEOUT;
                event.map_err(broken)
            }
            Ok(None) => Err(Error::no_response("the server ended the stream of revocations", false)),
            Err(_) => Err(Error::no_response("the stream of revocations sent nothing for too long", false)),
        }
    }
}

/// Reads an event, and whether it is the last of its batch.
pub(super) fn read(event: Sse) -> Result<(RevocationPage, bool)> {
    let page = serde_json::from_str(&event.data.unwrap_or_default()).map_err(broken)?;
    Ok((page, event.id.is_some()))
}

fn broken(cause: impl StdError + Send + Sync + 'static) -> Error {
    Error::no_response("the stream of revocations broke", false).with_source(cause)
}

async fn refresh_keys(state: &VerifierState) {
    match state.keys.renew().await {
        Ok(mismatch) => mismatch.iter().for_each(report),
        Err(error) => tracing::warn!(%error, "the keys of authy cannot be fetched: keeping the known ones"),
    }
}

/// Logs a wrong setting that was noticed after the start: the verifier started from its file, or the server's setting
/// was changed.
fn report(mismatch: &StartError) {
    tracing::error!(error = %mismatch, "every token of the server is refused");
}

/// Pauses between attempts: short at first, later long and jittered, so that a server that restarts is not overloaded.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .with_jitter()
        .build()
}
