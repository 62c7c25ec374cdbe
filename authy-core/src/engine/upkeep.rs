//! What has to be looked after while nobody asks: the lives of the keys, what has expired, and the months of the audit trail.
//!
//! Every step is taken under a lock or does no harm when two instances take it, so each instance simply tries.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Row;

use super::{
    Authy, code,
    db::{Params, db_error},
    event::{self, Write},
    feed, session,
};
use crate::Result;

pub(super) mod sql;

/// How many months of the audit trail have their partitions made ahead: whoever is down for a month misses none.
const MONTHS_AHEAD: i32 = 2;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What an upkeep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpkeepReport {
    /// Steps in the lives of the signing keys.
    pub key_steps: usize,
    /// Revocations that mattered to nobody any more.
    pub revocations: u64,
    /// Sessions that have been over for a day.
    pub sessions: u64,
    /// One-time codes that had expired, or were spent a month ago.
    pub codes: u64,
    /// Deliveries that were made long ago.
    pub deliveries: u64,
    /// Counters of guesses that are remembered no more.
    pub throttles: u64,
    /// Months of the audit trail that were made.
    pub months_made: u64,
    /// Months of the audit trail that were older than they are kept.
    pub months_dropped: u64,
    /// Months that are as old and are there still, because a sink has not been told all that is in them.
    pub months_untold: u64,
}

impl Authy {
    /// Looks after everything, for ever.
    pub(super) async fn keep_up(&self, sinks: Vec<String>) {
        let pause = (self.config().jwks_max_age / 4).clamp(Duration::from_millis(100), Duration::from_secs(60));
        loop {
            match self.upkeep_for(Some(&sinks)).await {
                Ok(done) if done == UpkeepReport::default() => {}
                Ok(done) => {
                    let UpkeepReport {
                        key_steps,
                        revocations,
                        sessions,
                        codes,
                        deliveries,
                        throttles,
                        months_made,
                        months_dropped,
                        months_untold,
                    } = done;
                    tracing::info!(
                        key_steps,
                        revocations,
                        sessions,
                        codes,
                        deliveries,
                        throttles,
                        months_made,
                        months_dropped,
                        months_untold,
                        "looked after the house"
                    );
                }
                Err(error) => tracing::warn!(%error, "the house cannot be looked after: trying again"),
            }
            sleep(pause).await;
        }
    }

    /// Looks after everything, once: takes the steps that are due in the lives of the keys, throws away what has expired, and
    /// makes and drops months of the audit trail. The [background work](Self::start_background) does it by itself.
    ///
    /// No month is dropped as long as there is a sink that has not been told of it. The background work minds its own sinks
    /// only: one that is not there any more holds up nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is away.
    pub async fn upkeep(&self) -> Result<UpkeepReport> {
        self.upkeep_for(None).await
    }

    async fn upkeep_for(&self, sinks: Option<&Vec<String>>) -> Result<UpkeepReport> {
        let key_steps = self.advance_keys().await?;
        self.fill_in_lookalikes().await?;
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        // Events that move to another month take a while.
        write.within(PATIENCE);
        let tx = write.tx();
        sql::LOCK.rows(tx, &[]).await?;
        let count = |row: &Option<Row>, column| {
            row.as_ref().map_or(0, |row| u64::from(row.get::<_, i32>(column).unsigned_abs()))
        };
        let made = event::sql::MAKE_PARTITIONS.row(tx, &[&MONTHS_AHEAD]).await?;
        event::sql::KEEP_PARTITIONS.rows(tx, &[]).await?;
        let dropped = match self.config().event_retention {
            None => None,
            Some(retention) => {
                let params: Params<'_> = &[&retention.as_secs_f64(), &sinks];
                event::sql::DROP_PARTITIONS.row(tx, params).await?
            }
        };
        let report = UpkeepReport {
            key_steps,
            revocations: feed::forget(tx).await?,
            sessions: session::sql::FORGET.execute(tx, &[]).await.map_err(db_error)?,
            codes: code::sql::FORGET.execute(tx, &[]).await.map_err(db_error)?
                + code::sql::FORGET_SPENT.execute(tx, &[&code::SPENT_FOR.as_secs_f64()]).await.map_err(db_error)?,
            deliveries: super::relay::sql::FORGET.execute(tx, &[]).await.map_err(db_error)?,
            throttles: super::throttle::sql::FORGET.execute(tx, &[]).await.map_err(db_error)?,
            months_made: count(&made, 0),
            months_dropped: count(&dropped, 0),
            months_untold: count(&dropped, 1),
        };
        write.commit_without_event().await?;
        Ok(report)
    }
}
