//! The background work: following revocations, relaying events to the sinks, and maintenance.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    Result,
    engine::{
        config::Config,
        delivery::{
            relay::{self, Relay, lag::RelayLag, stop::StopRelays},
            sink::Sink,
        },
        domain::{instance::Instances, signing_key::SigningKeys},
        journal::write::Journal,
        storage::fault::{self, Track},
    },
};

mod follow;
pub(in crate::engine) mod maintenance;

use maintenance::Maintenance;

/// Maximum time for the deliveries under way when the background work ends. A process manager kills a process that takes
/// much longer, and a sink that hangs would use all of that time.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time for the last report of this instance: without it, the others notice within two minutes.
const LAST_REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// The running background work: [`Authy::start_background_with`](crate::Authy::start_background_with).
///
/// [`stop`](Self::stop) ends it in order. Dropping it ends it at once: the sinks get what they were being delivered
/// again.
#[must_use = "dropped, it ends the background work"]
pub struct Background {
    tasks: Vec<JoinHandle<()>>,
    relays: Vec<JoinHandle<()>>,
    stop: StopRelays,
    instances: Arc<Instances>,
}

impl Drop for Background {
    fn drop(&mut self) {
        self.tasks.iter().chain(&self.relays).for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("sinks", &self.relays.len()).finish_non_exhaustive()
    }
}

impl Background {
    /// Starts the tasks. In a database on which no background work has begun yet, a sink gets every event. Later, a new sink
    /// gets every event from now on, and a known sink continues where it stopped.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub(in crate::engine) async fn start(
        journal: &Arc<Journal>,
        keys: &Arc<SigningKeys>,
        config: &Config,
        lag: &Arc<RelayLag>,
        instances: &Arc<Instances>,
        sinks: Vec<Arc<dyn Sink>>,
    ) -> Result<Self> {
        let feed = &journal.feed;
        let cursor = feed.prime().await?;
        let names: Vec<_> = sinks.iter().map(|sink| sink.name().to_owned()).collect();
        let (maintenance, kept_for) = (Maintenance::new(journal.clone(), keys.clone(), config), names.clone());
        let (stop, stopping) = StopRelays::new();
        let mut background = Self { tasks: Vec::new(), relays: Vec::new(), stop, instances: instances.clone() };
        background.tasks.push(tokio::spawn(fault::on(
            Track::Follow,
            follow::follow(feed.clone(), journal.db.clone(), keys.clone(), cursor),
        )));
        background.tasks.push(tokio::spawn(fault::on(Track::Maintenance, async move {
            maintenance.run_at_intervals(kept_for).await
        })));
        let db = journal.db.clone();
        background.tasks.push(tokio::spawn(fault::on(Track::Follow, async move { db.follow_lagging_reads().await })));
        if let Some(interval) = config.self_test {
            background.tasks.push(tokio::spawn(fault::on(Track::Follow, feed.clone().test_at_intervals(interval))));
        }
        for sink in sinks {
            let (relay, stopping) = (Relay::new(journal.clone(), sink), stopping.clone());
            // Before any event can occur that the sink must get.
            relay.prepare().await?;
            background.relays.push(tokio::spawn(fault::on(Track::Relay, async move { relay.run(&stopping).await })));
        }
        journal.db.write_quietly(&relay::sql::NOTE_FIRST_START, &[]).await?;
        let instances = instances.clone();
        let reporting = async move { instances.report_at_intervals().await };
        background.tasks.push(tokio::spawn(fault::on(Track::Maintenance, reporting)));
        if !names.is_empty() {
            let lag = lag.clone();
            // After every sink has a position, so that the first measurement has them all.
            let measuring = async move { lag.measure_at_intervals(names).await };
            background.tasks.push(tokio::spawn(fault::on(Track::Maintenance, measuring)));
        }
        Ok(background)
    }

    /// Ends the background work. Returns when the deliveries under way have been recorded, so that no sink gets them
    /// again: a sink that takes each event by itself finishes those it has begun; one that takes all events as a stream
    /// finishes its page of at most 1000 events. A sink that needs more than 10 seconds for that gets them again.
    /// Dropping the future ends the work at once.
    pub async fn stop(mut self) {
        self.stop.request();
        // An error: it panicked, and there is nothing to wait for.
        let ended = join_all(self.relays.iter_mut());
        if timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("some deliveries did not end in time: their sinks get them again");
        }
        // The rest is transactions: one that is interrupted is rolled back.
        self.tasks.iter().for_each(JoinHandle::abort);
        if timeout(LAST_REPORT_TIMEOUT, self.instances.stop()).await.is_err() {
            tracing::debug!("the other instances are not told that this one ends");
        }
    }
}
