//! Maintenance: rotates the keys, deletes expired rows, and creates and drops the partitions of the audit trail.
//!
//! Each step takes a lock or is harmless when two instances perform it, so every instance runs the maintenance.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_postgres::Row;

use crate::{
    ClientInfo, Result,
    engine::{
        config::Config,
        delivery::relay,
        domain::{code, lookalike, session, signing_key::SigningKeys, throttle},
        journal::{
            caller::Caller,
            event, revocation,
            write::{Journal, Tx, Written},
        },
        storage::{
            connector::db_error,
            statement::{Params, Statement},
        },
    },
};

pub(in crate::engine) mod sql;

/// Number of monthly partitions that are created ahead of time: an installation that is down for a month lacks none.
const MONTHS_AHEAD: i32 = 2;

/// Maximum time to clean up: moving events to another partition takes a while.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(600);

/// Maximum number of rows that one run deletes from a table, twice for sessions: seconds of work. All in one transaction
/// would never be done after a long time without maintenance, because [`CLEAN_UP_TIMEOUT`] would end it each time. The runs
/// of a day delete 144 million.
const ROWS_A_RUN: i64 = 100_000;

/// The result of one run of the maintenance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// The number of steps in the rotation of the signing keys.
    pub key_steps: usize,
    /// The number of deleted revocations, whose tokens had all expired one day before.
    pub revocations: u64,
    /// The number of deleted sessions, which had ended more than one day before.
    pub sessions: u64,
    /// The number of deleted one-time codes, which had expired or had been used one month before.
    pub codes: u64,
    /// The number of deleted deliveries, which had been made one month before.
    pub deliveries: u64,
    /// The number of deleted guess counters.
    pub throttles: u64,
    /// The number of created monthly partitions.
    pub months_made: u64,
    /// The number of dropped monthly partitions, which were older than the retention time.
    pub months_dropped: u64,
    /// The number of monthly partitions older than the retention time that were kept, because a sink has not received
    /// all events.
    pub months_undelivered: u64,
}

pub(in crate::engine) struct Maintenance {
    journal: Arc<Journal>,
    keys: Arc<SigningKeys>,
    pause: Duration,
    event_retention: Option<Duration>,
}

impl Maintenance {
    pub(in crate::engine) fn new(journal: Arc<Journal>, keys: Arc<SigningKeys>, config: &Config) -> Self {
        // Several times within the lifetime of a cached key set, so that the key rotation is punctual.
        let pause = (config.jwks_max_age / 4).clamp(Duration::from_millis(100), Duration::from_secs(60));
        Self { journal, keys, pause, event_retention: config.event_retention }
    }

    /// Runs at regular intervals. Does not return.
    pub(super) async fn run_at_intervals(&self, sinks: Vec<String>) {
        loop {
            match self.run(Some(&sinks)).await {
                Ok(report) if report == MaintenanceReport::default() => {}
                Ok(report) => report.log(),
                Err(error) => tracing::warn!(%error, "maintenance failed: retrying"),
            }
            sleep(self.pause).await;
        }
    }

    /// Runs once. Keeps a partition while one of these sinks (any sink when `None`) has not received all of its events.
    pub(in crate::engine) async fn run(&self, sinks: Option<&Vec<String>>) -> Result<MaintenanceReport> {
        let key_steps = self.keys.advance().await?;
        lookalike::fill_in(&self.journal.db).await?;
        let operator = Caller::operator(ClientInfo::default());
        let clean_up = async |tx: &Tx<'_>| self.clean_up(tx, sinks).await.map(Written::without_event);
        let report = self.journal.write_within(CLEAN_UP_TIMEOUT, &operator, clean_up).await?;
        Ok(MaintenanceReport { key_steps, ..report })
    }

    async fn clean_up(&self, tx: &Tx<'_>, sinks: Option<&Vec<String>>) -> Result<MaintenanceReport> {
        sql::LOCK.rows(tx, &[]).await?;
        let count = |row: &Option<Row>, column| {
            row.as_ref().map_or(0, |row| u64::from(row.get::<_, i32>(column).unsigned_abs()))
        };
        let made = event::sql::MAKE_PARTITIONS.row(tx, &[&MONTHS_AHEAD]).await?;
        event::sql::PROTECT_PARTITIONS.rows(tx, &[]).await?;
        let dropped = match self.event_retention {
            None => None,
            Some(retention) => {
                let params: Params<'_> = &[&retention.as_secs_f64(), &sinks];
                event::sql::DROP_PARTITIONS.row(tx, params).await?
            }
        };
        let forget =
            async |statement: &'static Statement| statement.execute(tx, &[&ROWS_A_RUN]).await.map_err(db_error);
        let retention = code::SPENT_CODE_RETENTION.as_secs_f64();
        let spent = code::sql::FORGET_SPENT.execute(tx, &[&retention, &ROWS_A_RUN]).await.map_err(db_error)?;
        Ok(MaintenanceReport {
            key_steps: 0,
            revocations: forget(&revocation::sql::FORGET).await?,
            sessions: forget(&session::sql::FORGET).await?,
            codes: spent + forget(&code::sql::FORGET).await?,
            deliveries: forget(&relay::sql::FORGET).await?,
            throttles: forget(&throttle::sql::FORGET).await?,
            months_made: count(&made, 0),
            months_dropped: count(&dropped, 0),
            months_undelivered: count(&dropped, 1),
        })
    }
}

impl MaintenanceReport {
    fn log(self) {
        tracing::info!(
            key_steps = self.key_steps,
            revocations = self.revocations,
            sessions = self.sessions,
            codes = self.codes,
            deliveries = self.deliveries,
            throttles = self.throttles,
            months_made = self.months_made,
            months_dropped = self.months_dropped,
            months_undelivered = self.months_undelivered,
            "maintenance done"
        );
    }
}
