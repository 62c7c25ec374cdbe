//! The background work: following revocations, relaying events to the sinks, and maintenance.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::{
    Result,
    engine::{
        config::Config,
        delivery::{relay::Relay, sink::Sink},
        domain::signing_key::SigningKeys,
        journal::write::Journal,
        storage::fault::{self, Track},
    },
};

mod follow;
pub(in crate::engine) mod maintenance;

use maintenance::Maintenance;

/// The running background work. It stops when this is dropped.
#[must_use = "dropped, it ends the background work"]
#[derive(Debug)]
pub struct Background(Vec<JoinHandle<()>>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Background {
    /// Starts the tasks. A new sink gets every event from now on; a known sink continues where it stopped.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub(in crate::engine) async fn start(
        journal: &Arc<Journal>,
        keys: &Arc<SigningKeys>,
        config: &Config,
        sinks: Vec<Arc<dyn Sink>>,
    ) -> Result<Self> {
        let feed = &journal.feed;
        let cursor = feed.prime().await?;
        let names = sinks.iter().map(|sink| sink.name().to_owned()).collect();
        let maintenance = Maintenance::new(journal.clone(), keys.clone(), config);
        let mut tasks = vec![
            tokio::spawn(fault::on(
                Track::Follow,
                follow::follow(feed.clone(), journal.db.clone(), keys.clone(), cursor),
            )),
            tokio::spawn(fault::on(Track::Maintenance, async move { maintenance.run_at_intervals(names).await })),
        ];
        if let Some(interval) = config.self_test {
            tasks.push(tokio::spawn(fault::on(Track::Follow, feed.clone().test_at_intervals(interval))));
        }
        for sink in sinks {
            let relay = Relay::new(journal.clone(), sink);
            // Before any event can occur that the sink must get.
            relay.prepare().await?;
            tasks.push(tokio::spawn(fault::on(Track::Relay, async move { relay.run().await })));
        }
        Ok(Self(tasks))
    }
}
