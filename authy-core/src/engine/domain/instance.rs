//! The instances that run on the database: each says about itself, twice a minute, what the others cannot know.
//!
//! Failed logins are no events, so that guessing costs the database nothing: an instance counts them in memory, and a report of
//! all of its hours is one small write, however many logins there were.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    Result,
    engine::{
        domain::session::statistics::{LoginHour, SessionCounts, SessionOutcome, last_hours},
        journal::{revocation::RevocationFeed, write::Journal},
        storage::statement::Params,
    },
    time::{from_unix_seconds, to_second, unix_seconds},
};

pub(in crate::engine) mod sql;

/// Interval between two reports: what a person sees is at most this old.
const INTERVAL: Duration = Duration::from_secs(30);

/// Time without a report after which an instance counts as gone: two may fail.
const GONE_AFTER: Duration = Duration::from_secs(100);

/// Time for which an instance is kept: its logins are shown for 24 hours.
const KEPT: Duration = Duration::from_secs(25 * 3600);

/// An instance that runs on the database, or has run in the last day.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InstanceView {
    /// The name of its host.
    pub host: String,
    /// The version of the engine.
    pub version: String,
    /// When it started, by its own clock.
    pub started: DateTime<Utc>,
    /// When it last said that it runs, by the clock of the database. It says so twice a minute while the database is available.
    pub seen: DateTime<Utc>,
    /// What became of it.
    pub state: InstanceState,
    /// The age of the revocations that it knew when it was last seen; `None` when it knew none.
    pub revocation_age: Option<Duration>,
    /// Whether it is the instance that was asked.
    pub is_own: bool,
}

/// What became of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstanceState {
    /// It runs.
    Running,
    /// It has ended its background work as it should.
    Stopped,
    /// It has not been seen for some time: it was killed, is frozen, or does not reach the database.
    Gone,
}

/// The instances, and what they have counted together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InstanceReport {
    /// The instances that have run in the last 25 hours, by host and start.
    pub instances: Vec<InstanceView>,
    /// How logins ended in each of the last hours, at all instances, at most in the last 24, oldest first. The last hour is the
    /// current one. What others have counted is at most half a minute old.
    pub login_hours: Vec<LoginHour>,
}

/// What this instance says about itself.
pub(in crate::engine) struct Instances {
    id: Uuid,
    journal: Arc<Journal>,
    counts: Arc<SessionCounts>,
}

impl Instances {
    pub(in crate::engine) fn new(journal: Arc<Journal>, counts: Arc<SessionCounts>) -> Self {
        Self { id: Uuid::new_v4(), journal, counts }
    }

    fn feed(&self) -> &RevocationFeed {
        &self.journal.feed
    }

    /// Reports at regular intervals. Does not return.
    pub(in crate::engine) async fn report_at_intervals(&self) {
        loop {
            if let Err(error) = self.report().await {
                tracing::debug!(%error, "the other instances are not told that this one runs: retrying");
            }
            sleep(INTERVAL).await;
        }
    }

    async fn report(&self) -> Result<()> {
        let statistics = self.counts.snapshot();
        let feed_age = self.feed().age().map(|age| age.as_secs_f64());
        let (version, logins) = (env!("CARGO_PKG_VERSION"), logins(&statistics.login_hours));
        let params: Params<'_> =
            &[&self.id, &host(), &version, &statistics.since, &feed_age, &logins, &KEPT.as_secs_f64()];
        self.journal.db.write_quietly(&sql::REPORT, params).await.map(drop)
    }

    /// Reports that this instance ends, and the last of its counts.
    pub(in crate::engine) async fn stop(&self) {
        let logins = logins(&self.counts.snapshot().login_hours);
        if let Err(error) = self.journal.db.write_quietly(&sql::STOP, &[&self.id, &logins]).await {
            tracing::debug!(%error, "the other instances are not told that this one ends");
        }
    }

    /// Returns the instances. What this one has counted is counted in memory until now.
    pub(in crate::engine) async fn list(&self) -> Result<InstanceReport> {
        let own = self.counts.snapshot().login_hours;
        let rows = self.journal.db.list(&sql::LIST, &[&KEPT.as_secs_f64()]).await?;
        let mut hours = BTreeMap::new();
        own.iter().for_each(|hour| add(&mut hours, hour.began, |outcome| count(hour, outcome)));
        for row in rows.iter().filter(|row| row.get::<_, Uuid>("instance_id") != self.id) {
            let logins: Value = row.get("logins");
            for hour in logins.as_array().into_iter().flatten().filter_map(Value::as_object) {
                let number = |name: &str| hour.get(name).and_then(Value::as_u64).unwrap_or_default();
                add(&mut hours, from_unix_seconds(number("began")), |outcome| number(outcome.as_str()));
            }
        }
        Ok(InstanceReport {
            instances: rows.iter().map(|row| self.view(row)).collect(),
            login_hours: last_hours(&hours),
        })
    }

    fn view(&self, row: &Row) -> InstanceView {
        let unseen = Duration::try_from_secs_f64(row.get("unseen")).unwrap_or_default();
        let state = match row.get("stopped") {
            true => InstanceState::Stopped,
            false if unseen > GONE_AFTER => InstanceState::Gone,
            false => InstanceState::Running,
        };
        let age: Option<f64> = row.get("feed_age");
        InstanceView {
            host: row.get("host"),
            version: row.get("version"),
            started: to_second(row.get("started")),
            seen: to_second(row.get("seen")),
            state,
            revocation_age: age.and_then(|age| Duration::try_from_secs_f64(age).ok()),
            is_own: row.get::<_, Uuid>("instance_id") == self.id,
        }
    }
}

fn count(hour: &LoginHour, outcome: SessionOutcome) -> u64 {
    hour.logins.iter().filter(|(known, _)| *known == outcome).map(|(_, count)| count).sum()
}

/// Adds what was counted in an hour.
fn add(
    hours: &mut BTreeMap<DateTime<Utc>, Vec<(SessionOutcome, u64)>>,
    began: DateTime<Utc>,
    number: impl Fn(SessionOutcome) -> u64,
) {
    let hour = hours.entry(began).or_insert_with(|| SessionOutcome::ALL.map(|outcome| (outcome, 0)).into());
    for (outcome, count) in hour {
        *count = count.saturating_add(number(*outcome));
    }
}

/// Returns hours as they are stored: an object for each, without zeros. By name, because a later version may have more outcomes.
fn logins(hours: &[LoginHour]) -> Value {
    let object = |hour: &LoginHour| {
        let counted = hour.logins.iter().filter(|(_, count)| *count > 0);
        let counts = counted.map(|(outcome, count)| (outcome.as_str().to_owned(), json!(count)));
        let began = ("began".to_owned(), json!(unix_seconds(hour.began)));
        Value::Object(counts.chain([began]).collect::<Map<_, _>>())
    };
    hours.iter().map(object).collect()
}

/// Returns the name of the host.
fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    // PostgreSQL has no texts with this character; no name of a host has it.
    name.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_of_an_hour_is_read_again() {
        let began = from_unix_seconds(1_560_247_200);
        let counted = vec![(SessionOutcome::Succeeded, 3), (SessionOutcome::Failed, 0), (SessionOutcome::NoRole, 1)];
        let stored = logins(&[LoginHour { began, logins: counted }]);
        assert_eq!(stored, json!([{ "began": 1_560_247_200, "succeeded": 3, "no_role": 1 }]));
        let mut hours = BTreeMap::new();
        for _ in 0..2 {
            let number = |name: &str| stored[0].get(name).and_then(Value::as_u64).unwrap_or_default();
            add(&mut hours, from_unix_seconds(number("began")), |outcome| number(outcome.as_str()));
        }
        let hour = LoginHour { began, logins: hours.remove(&began).unwrap() };
        assert_eq!(hour.logins.len(), SessionOutcome::ALL.len());
        let outcomes = [SessionOutcome::Succeeded, SessionOutcome::Failed, SessionOutcome::NoRole];
        assert_eq!(outcomes.map(|outcome| count(&hour, outcome)), [6, 0, 2]);
    }
}
