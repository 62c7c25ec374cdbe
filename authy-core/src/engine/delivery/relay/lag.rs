//! How far the sinks are behind, measured at regular intervals, so that reading it costs no query.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::time::sleep;

use super::sql;
use crate::{Result, engine::storage::db::Db};

/// Interval between two measurements: at least one per scrape of a monitoring system, which are 15 s to 60 s apart.
const INTERVAL: Duration = Duration::from_secs(10);

/// How far a sink is behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SinkLag {
    /// The name of the sink.
    pub sink: String,
    /// The age of the oldest event that the sink has not accepted; zero when there is none.
    pub lag: Duration,
    /// The number of events whose delivery failed and is repeated, up to 10,000. Always zero with
    /// [`Delivery::Ordered`](crate::engine::Delivery::Ordered), where an event that is not accepted delays all others.
    pub stuck: u64,
    /// The number of events whose delivery was given up and not dismissed, up to 10,000.
    pub given_up: u64,
}

/// How far the sinks of this instance are behind, as of the last measurement.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayStatistics {
    /// The time since the measurement. It grows while the database is not available.
    pub age: Duration,
    /// The sinks that the background work of this instance has, whichever instance relays to them.
    pub sinks: Vec<SinkLag>,
}

/// Measures the sinks.
pub(in crate::engine) struct RelayLag {
    db: Arc<Db>,
    last: ArcSwapOption<(Instant, Vec<SinkLag>)>,
}

impl RelayLag {
    pub(in crate::engine) fn new(db: Arc<Db>) -> Self {
        Self { db, last: ArcSwapOption::empty() }
    }

    /// Measures these sinks at regular intervals. Does not return.
    pub(in crate::engine) async fn measure_at_intervals(&self, sinks: Vec<String>) {
        loop {
            if let Err(error) = self.measure(&sinks).await {
                tracing::debug!(%error, "the lag of the sinks cannot be measured: retrying");
            }
            sleep(INTERVAL).await;
        }
    }

    async fn measure(&self, sinks: &[String]) -> Result<()> {
        let asked = Instant::now();
        let rows = self.db.list(&sql::LIST_LAGS, &[&sinks]).await?;
        let lags = rows.iter().map(|row| SinkLag {
            sink: row.get("sink"),
            lag: Duration::try_from_secs_f64(row.get("lag")).unwrap_or_default(),
            stuck: row.get::<_, i64>("stuck").unsigned_abs(),
            given_up: row.get::<_, i64>("given_up").unsigned_abs(),
        });
        self.last.store(Some(Arc::new((asked, lags.collect()))));
        Ok(())
    }

    /// Returns the last measurement; `None` before the first one.
    pub(in crate::engine) fn statistics(&self) -> Option<RelayStatistics> {
        let last = self.last.load_full()?;
        let (asked, sinks) = &*last;
        Some(RelayStatistics { age: asked.elapsed(), sinks: sinks.clone() })
    }
}
