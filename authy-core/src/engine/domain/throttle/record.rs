//! The stored count of a guess: counts an attempt before or after it is verified, and records its outcome.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::time::sleep;

use super::{
    GuessTarget,
    backoff::{ACCOUNT_POLICY, ADDRESS_POLICY, FailureCount, Outcome},
    concurrency::{MAX_ATTEMPT_WAIT, too_many_waiting},
    failure_clock::FailureClock,
    sql,
    standing::Standing,
    statistics::GuessCounts,
};
use crate::{
    Error, ErrorKind, Result,
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
pub(in crate::engine) const MAX_ATTEMPT_TIME: Duration = Duration::from_secs(20);

/// Pause between two checks whether the other attempts have ended: a few per hash.
const ATTEMPT_RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Pause between two tries to count a failure while the database is not available.
const COUNT_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Whether an attempt may be verified, and whether it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It has not begun, and counts as nothing.
    Waiting,
    /// It may be verified. Nothing is on record, so it is counted when it has failed.
    Unreserved,
    /// It may be verified, and is counted as a failure already: the number of failures including it.
    Reserved(u32),
    /// It was unreserved, has failed, and is counted: the number of failures including it.
    Counted(u32),
    /// It is not verified: the time to wait, when that is because of earlier failures at its account.
    Refused(Option<Duration>),
}

/// The stored data of an attempt.
pub(super) struct Record {
    pub(super) db: Arc<Db>,
    pub(super) caller: Caller,
    pub(super) counts: Arc<GuessCounts>,
    pub(super) clock: Arc<FailureClock>,
    pub(super) target: GuessTarget,
    pub(super) key: String,
    /// The key of the address, when the address counts.
    pub(super) address: Option<String>,
    pub(super) admission: Admission,
}

impl Record {
    /// Decides whether the attempt may be verified. Counts it, unless nothing is on record.
    ///
    /// Called with a permit to run. What was read before is used, unless this process has counted a failure since.
    pub(super) async fn admit(&mut self, seen: Option<Standing>) -> Result<()> {
        let begun = Instant::now();
        let missed = |key: &str, seen: &Standing| self.clock.has_failed_since(key, seen.since);
        let mut known = seen.filter(|seen| !missed(&self.key, seen));
        known = known.filter(|seen| self.address.as_ref().is_none_or(|address| !missed(address, seen)));
        while begun.elapsed() < MAX_ATTEMPT_WAIT {
            let standing = match known.take() {
                Some(known) => known,
                None => self.read().await?,
            };
            // While failures cannot be counted, only what could be reserved is verified.
            if standing.is_clear() && !self.clock.has_uncounted() {
                self.admission = Admission::Unreserved;
                return Ok(());
            }
            if !standing.is_address_admitted() {
                // Not a failure, as during the wait of an account, and it does not extend the wait.
                self.admission = Admission::Refused(None);
                let address = self.address.take();
                return self.db.write_quietly(&sql::REFUSE, &[&address]).await.map(drop);
            }
            if let Some(wait) = standing.wait() {
                if !standing.is_pending {
                    self.admission = Admission::Refused(Some(wait));
                    return self.note(&sql::REFUSE).await;
                }
                // One of the attempts in progress may be correct.
                sleep(ATTEMPT_RETRY_PAUSE).await;
            } else if let Some(next) = ACCOUNT_POLICY.next(standing.own, Outcome::Failed, standing.now)
                && self.reserve(standing.own, next).await?
            {
                self.clock.note(&self.key);
                self.admission = Admission::Reserved(next.failures);
                return Ok(());
            }
            // Otherwise another attempt was counted meanwhile: read again.
        }
        Err(too_many_waiting())
    }

    async fn read(&self) -> Result<Standing> {
        let since = self.clock.now();
        let keys: Vec<&str> = [Some(&*self.key), self.address.as_deref()].into_iter().flatten().collect();
        let found = self.db.read(&sql::FIND, &[&keys, &MAX_ATTEMPT_TIME.as_secs_f64()]).await?;
        Standing::of_rows(&found, since).ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))
    }

    /// Counts the attempt if the state has not changed.
    async fn reserve(&self, before: Option<FailureCount>, next: FailureCount) -> Result<bool> {
        let (failures, forgotten) = (next.failures.cast_signed(), ACCOUNT_POLICY.forgotten(next));
        let (seen, since) = (before.map(|count| count.failures.cast_signed()), before.map(|count| count.counted));
        let longest = MAX_ATTEMPT_TIME.as_secs_f64();
        let params: Params<'_> = &[&self.key, &failures, &next.counted, &forgotten, &seen, &since, &longest];
        Ok(self.db.write_quietly(&sql::RESERVE, params).await?.is_some())
    }

    /// Returns whether the attempt has failed and is not counted.
    pub(super) fn is_uncounted(&self) -> bool {
        self.admission == Admission::Unreserved
    }

    /// Counts an unreserved attempt that has failed, from the state of that moment. Does nothing for others.
    async fn count(&mut self) -> Result<()> {
        if self.is_uncounted() {
            let (memory, longest) = (ACCOUNT_POLICY.memory.as_secs_f64(), MAX_ATTEMPT_TIME.as_secs_f64());
            let params: Params<'_> = &[&self.key, &memory, &longest];
            let counted = self.db.write_quietly(&sql::COUNT_UNRESERVED, params).await;
            let counted = counted.inspect_err(|_| self.clock.note_uncounted())?;
            self.clock.note(&self.key);
            let failures = counted.map_or(1, |row| row.get::<_, i32>("failures").unsigned_abs());
            self.admission = Admission::Counted(failures);
        }
        Ok(())
    }

    /// Stores that the attempt has failed.
    ///
    /// Two statements in any case: the one that counts or refuses an attempt, before or after its hash, and this one. So
    /// that all refusals take as long as each other.
    pub(super) async fn fail(&mut self) -> Result<()> {
        self.count().await?;
        let failures = match self.admission {
            Admission::Reserved(failures) | Admission::Counted(failures) => Some(failures),
            Admission::Waiting | Admission::Unreserved | Admission::Refused(_) => None,
        };
        let has_event = failures.is_some_and(|failures| ACCOUNT_POLICY.begins_to_slow(failures));
        let event = Event::new(EventKind::AccountThrottled, &Actor::by_secret(&self.caller));
        let Columns { event_id, kind, actor, actor_kind, ip, user_agent, request_id } = event.columns();
        let (about, detail) =
            (self.target.account.map(|user| *user.as_uuid()), json!({ "of": self.target.kind, "failures": failures }));
        let was_reserved = matches!(self.admission, Admission::Reserved(_));
        let (key, address, memory) = (&self.key, &self.address, ADDRESS_POLICY.memory.as_secs_f64());
        #[rustfmt::skip]
        let params: Params<'_> = &[
            key, &was_reserved, address, &memory, &has_event,
            &event_id, &kind, &actor, &actor_kind, &about, &ip, &user_agent, &request_id, &detail,
        ];
        match has_event {
            true => {
                self.db.write(&sql::FAIL, params).await?;
                self.counts.throttled.fetch_add(1, Ordering::Relaxed);
            }
            false => self.db.write_quietly(&sql::FAIL, params).await.map(drop)?,
        }
        if let Some(address) = &self.address {
            self.clock.note(address);
        }
        Ok(())
    }

    /// Tries again to store a failure that is not counted, until it is. Their number is bounded: while there is one, an
    /// attempt must be reserved before it is verified.
    pub(super) async fn fail_later(&mut self) {
        while self.is_uncounted() {
            sleep(COUNT_RETRY_PAUSE).await;
            if let (Err(error), false) = (self.fail().await, self.is_uncounted()) {
                tracing::warn!(%error, "a failed attempt is counted for its account, and not for its address");
            }
        }
    }

    pub(super) async fn note(&self, statement: &'static Statement) -> Result<()> {
        self.db.write_quietly(statement, &[&self.key]).await.map(drop)
    }
}
