//! The stored count of a guess: counts an attempt before it is verified, and records its outcome.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::time::sleep;
use tokio_postgres::Row;

use super::{
    GuessTarget,
    backoff::{ACCOUNT_POLICY, ADDRESS_POLICY, FailureCount, Outcome},
    concurrency::{MAX_ATTEMPT_WAIT, too_many_waiting},
    sql,
    statistics::GuessCounts,
};
use crate::{
    Result,
    api::event::EventKind,
    engine::{
        journal::{
            actor::Actor,
            caller::Caller,
            event::{Columns, Event},
        },
        storage::{
            db::Db,
            statement::{Params, Statement},
        },
    },
};

/// Maximum duration of an attempt; after that its instance must have failed. Longer than a password waits for its hash.
pub(super) const MAX_ATTEMPT_TIME: Duration = Duration::from_secs(20);

/// Pause between two checks whether the other attempts have ended: a few per hash.
const ATTEMPT_RETRY_PAUSE: Duration = Duration::from_millis(25);

/// The stored data of a failure.
pub(super) struct Record {
    pub(super) db: Arc<Db>,
    pub(super) caller: Caller,
    pub(super) counts: Arc<GuessCounts>,
    pub(super) target: GuessTarget,
    pub(super) key: String,
    /// The key of the address, when the address counts.
    pub(super) address: Option<String>,
    /// The number of failures including this one; `None` when it is not admitted.
    pub(super) failures: Option<u32>,
    /// The time to wait because of earlier failures at the account, when it is not admitted for that reason.
    pub(super) wait: Option<Duration>,
}

impl Record {
    /// Counts the attempt, or finds that it is not admitted.
    pub(super) async fn reserve(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < MAX_ATTEMPT_WAIT {
            let keys: Vec<&str> = [Some(&*self.key), self.address.as_deref()].into_iter().flatten().collect();
            let found = self.db.read(&sql::FIND, &[&keys, &MAX_ATTEMPT_TIME.as_secs_f64()]).await?;
            let Some(own) = found.first() else { break };
            let (now, before) = (own.get::<_, DateTime<Utc>>("now"), failure_count(own));
            if !ADDRESS_POLICY.admits(found.get(1).and_then(failure_count), now) {
                // Not a failure, as during the wait of an account, and it does not extend the wait.
                let address = self.address.take();
                return self.db.write_quietly(&sql::REFUSE, &[&address]).await.map(drop);
            }
            if !ACCOUNT_POLICY.admits(before, now) {
                if !own.get::<_, bool>("is_pending") {
                    self.wait = Some(ACCOUNT_POLICY.wait(before, now));
                    return self.note(&sql::REFUSE).await;
                }
                // One of the attempts in progress may be correct.
                sleep(ATTEMPT_RETRY_PAUSE).await;
            } else if let Some(next) = ACCOUNT_POLICY.next(before, Outcome::Failed, now)
                && self.count(before, next).await?
            {
                self.failures = Some(next.failures);
                return Ok(());
            }
            // Otherwise another attempt was counted meanwhile: read again.
        }
        Err(too_many_waiting())
    }

    /// Counts the attempt if the state has not changed.
    async fn count(&self, before: Option<FailureCount>, next: FailureCount) -> Result<bool> {
        let (failures, forgotten) = (next.failures.cast_signed(), ACCOUNT_POLICY.forgotten(next));
        let (seen, since) = (before.map(|count| count.failures.cast_signed()), before.map(|count| count.counted));
        let longest = MAX_ATTEMPT_TIME.as_secs_f64();
        let params: Params<'_> = &[&self.key, &failures, &next.counted, &forgotten, &seen, &since, &longest];
        Ok(self.db.write_quietly(&sql::RESERVE, params).await?.is_some())
    }

    /// Stores that the attempt has failed.
    pub(super) async fn fail(&self) -> Result<()> {
        let has_event = self.failures.is_some_and(|failures| ACCOUNT_POLICY.begins_to_slow(failures));
        let event = Event::new(EventKind::AccountThrottled, &Actor::by_secret(&self.caller));
        let Columns { event_id, kind, actor, actor_kind, ip, user_agent, request_id } = event.columns();
        let (about, detail) = (
            self.target.account.map(|user| *user.as_uuid()),
            json!({ "of": self.target.kind, "failures": self.failures }),
        );
        let (was_admitted, memory) = (self.failures.is_some(), ADDRESS_POLICY.memory.as_secs_f64());
        let (key, address) = (&self.key, &self.address);
        #[rustfmt::skip]
        let params: Params<'_> = &[
            key, &was_admitted, address, &memory, &has_event,
            &event_id, &kind, &actor, &actor_kind, &about, &ip, &user_agent, &request_id, &detail,
        ];
        match has_event {
            true => {
                self.db.write(&sql::FAIL, params).await?;
                self.counts.throttled.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            false => self.db.write_quietly(&sql::FAIL, params).await.map(drop),
        }
    }

    pub(super) async fn note(&self, statement: &'static Statement) -> Result<()> {
        self.db.write_quietly(statement, &[&self.key]).await.map(drop)
    }
}

/// Returns the stored count in a row, if any.
pub(super) fn failure_count(row: &Row) -> Option<FailureCount> {
    let failures: Option<i32> = row.get("failures");
    Some(FailureCount { failures: failures?.unsigned_abs(), counted: row.get("counted") })
}
