//! The guess limiter: counts failed guesses at secrets in the database, for all instances together.
//!
//! A guess begins with [`GuessLimiter::attempt`], and ends with its outcome:
//!
//! ```text
//! let attempt = limiter.attempt(caller, GuessTarget::…).await?;     // counted as a failure already
//! let is_right = attempt.is_admitted() && …;                        // as much work either way, and the same answer
//! attempt.end(if is_right { Outcome::Succeeded } else { Outcome::Failed }).await?;
//! ```
//!
//! An attempt is counted before it is verified, in one statement that succeeds only when the state has not changed since it was
//! read: each of a hundred concurrent attempts counts. A dropped attempt counts as failed. So that concurrent correct passwords
//! are not refused, four attempts at a target run at the same time in this process, and the others wait.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::{runtime::Handle, time::sleep};
use tokio_postgres::{Row, Transaction};

use crate::{
    Error, ErrorKind, Result, UserId, Username,
    api::event::EventKind,
    engine::{
        crypto::{mac::MacKeys, master::MasterKeys},
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

mod backoff;
mod concurrency;
pub(in crate::engine) mod sql;

pub(in crate::engine) use backoff::Outcome;

use backoff::{ACCOUNT_POLICY, ADDRESS_POLICY, FailureCount};
use concurrency::{ConcurrencyLimiter, MAX_ATTEMPT_WAIT, Permit, too_many_waiting};

/// Maximum duration of an attempt; after that its instance must have failed. Longer than a password waits for its hash.
const MAX_ATTEMPT_TIME: Duration = Duration::from_secs(20);

/// Pause between two checks whether the other attempts have ended: a few per hash.
const ATTEMPT_RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Counts guesses.
#[derive(Clone)]
pub(in crate::engine) struct GuessLimiter {
    db: Arc<Db>,
    /// Hides the targets: without the key, a reader of the table cannot even check a name. A new first master key starts new
    /// counts.
    keys: MacKeys,
    concurrency: Arc<ConcurrencyLimiter>,
}

/// The target of a guess.
pub(in crate::engine) struct GuessTarget {
    /// The kind, as the event records it. Never contains input.
    kind: &'static str,
    of: String,
    account: Option<UserId>,
    counts_address: bool,
}

impl GuessTarget {
    /// The password for a username, whether or not the account exists, from an unknown device.
    pub(in crate::engine) fn password_of(name: &str, account: Option<UserId>) -> Self {
        Self { kind: "login", of: name.to_owned(), account, counts_address: true }
    }

    /// The password for an account, from a device on which it logged in. The address does not count: a user who shares it with
    /// an attacker can log in.
    pub(in crate::engine) fn password_on(device: &str, account: UserId) -> Self {
        Self { kind: "device", of: format!("{account}\0{device}"), account: Some(account), counts_address: false }
    }

    /// The password for the account of the caller's valid token.
    pub(in crate::engine) fn password_again(account: UserId) -> Self {
        Self { kind: "password", of: account.to_string(), account: Some(account), counts_address: false }
    }
}

/// A guess, counted as a failure until its outcome is known. A dropped one (its caller has gone, for example) has failed.
pub(in crate::engine) struct Attempt {
    // Taken when the outcome is known.
    record: Option<Box<Record>>,
    key: String,
    is_admitted: bool,
    permit: Option<Permit>,
}

/// The stored data of a failure.
struct Record {
    db: Arc<Db>,
    caller: Caller,
    target: GuessTarget,
    key: String,
    /// The key of the address, when the address counts.
    address: Option<String>,
    /// The number of failures including this one; `None` when it is not admitted.
    failures: Option<u32>,
    /// The time to wait because of earlier failures at the account, when it is not admitted for that reason.
    wait: Option<Duration>,
}

impl GuessLimiter {
    pub(in crate::engine) fn new(db: Arc<Db>, keys: &MasterKeys) -> Result<Self> {
        Ok(Self { db, keys: MacKeys::new(keys, "authy throttle keys")?, concurrency: Arc::default() })
    }

    fn key(&self, purpose: &str, text: &str) -> String {
        self.keys.sign(&format!("{purpose}\0{text}"))
    }

    /// Begins a guess, which is counted before it is verified.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when too many attempts at the same target wait; [`ErrorKind::Unavailable`] when the database
    /// is not available.
    pub(in crate::engine) async fn attempt(&self, caller: &Caller, target: GuessTarget) -> Result<Attempt> {
        let key = self.key(target.kind, &target.of);
        let network = caller.client_info().network().filter(|_| target.counts_address);
        let address = network.map(|network| self.key("address", &network));
        let permit = self.concurrency.acquire(&key).await?;
        let (db, caller) = (self.db.clone(), caller.clone());
        let mut record = Box::new(Record { db, caller, target, key: key.clone(), address, failures: None, wait: None });
        record.reserve().await?;
        let is_admitted = record.failures.is_some();
        // An attempt that is not verified does not delay others.
        Ok(Attempt { record: Some(record), key, is_admitted, permit: Some(permit).filter(|_| is_admitted) })
    }

    /// Runs the verification of a one-time code. A wrong code counts for its address, together with wrong passwords, for all
    /// instances.
    ///
    /// # Errors
    /// Those of the work, of which [`ErrorKind::NotFound`] counts; [`ErrorKind::RateLimited`], without running the work, after
    /// too many.
    pub(in crate::engine) async fn guess_code<T>(
        &self,
        caller: &Caller,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(network) = caller.client_info().network() else { return work.await };
        let address = self.key("address", &network);
        let params: Params<'_> = &[&vec![&*address], &MAX_ATTEMPT_TIME.as_secs_f64()];
        let found = self.db.read_one(&sql::FIND, params).await?;
        if !ADDRESS_POLICY.admits(failure_count(&found), found.get("now")) {
            let error = Error::new(ErrorKind::RateLimited, "too many wrong codes and passwords came from this address");
            return Err(error.with_retry_after(ADDRESS_POLICY.memory));
        }
        let done = work.await;
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            let target = GuessTarget { kind: "code", of: String::new(), account: None, counts_address: true };
            let (db, caller, address) = (self.db.clone(), caller.clone(), Some(address));
            // Only the address counts: nothing is stored under an empty key.
            Record { db, caller, target, key: String::new(), address, failures: None, wait: None }.fail().await?;
        }
        done
    }

    /// Deletes the failed guesses at the password for a username, because the password was changed.
    pub(in crate::engine) async fn forgive(&self, tx: &Transaction<'_>, name: &Username) -> Result<()> {
        let GuessTarget { kind, of, .. } = GuessTarget::password_of(&name.key(), None);
        sql::CLEAR.rows(tx, &[&self.key(kind, &of)]).await.map(drop)
    }
}

impl Attempt {
    /// Returns whether the guess may be verified. If not, the caller must get the same result as for a wrong guess, after the
    /// same work.
    pub(in crate::engine) fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// Returns the time to wait, when the guess is not admitted because of failures at its account. Only for callers with a
    /// token: to others it would reveal that there were failures.
    pub(in crate::engine) fn wait(&self) -> Option<Duration> {
        self.record.as_ref()?.wait
    }

    /// Returns the key of the count, for a statement that deletes the count when the guess is correct.
    pub(in crate::engine) fn key(&self) -> &str {
        &self.key
    }

    /// Ends a correct guess, after a statement has deleted the count.
    pub(in crate::engine) fn settled(mut self) {
        self.record = None;
    }

    /// Ends a guess: correct, or else wrong or not admitted.
    pub(in crate::engine) async fn end(mut self, outcome: Outcome) -> Result<()> {
        match (self.record.take(), outcome) {
            (None, _) => Ok(()),
            (Some(record), Outcome::Failed) => record.fail().await,
            (Some(record), Outcome::Succeeded) => record.note(&sql::CLEAR).await,
        }
    }

    /// Ends a guess that does not count: it was not verified, or it was correct and something else failed.
    pub(in crate::engine) async fn retract(mut self) {
        if let Some(record) = self.record.take().filter(|_| self.is_admitted)
            && let Err(error) = record.note(&sql::RETRACT).await
        {
            tracing::warn!(%error, "an attempt that was not verified counts as a failure");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let permit = self.permit.take();
        let (Some(record), Ok(runtime)) = (self.record.take(), Handle::try_current()) else { return };
        runtime.spawn(async move {
            if let Err(error) = record.fail().await {
                tracing::warn!(%error, "an abandoned attempt was not recorded");
            }
            drop(permit);
        });
    }
}

impl Record {
    /// Counts the attempt, or finds that it is not admitted.
    async fn reserve(&mut self) -> Result<()> {
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
    async fn fail(&self) -> Result<()> {
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
            true => self.db.write(&sql::FAIL, params).await.map(drop),
            false => self.db.write_quietly(&sql::FAIL, params).await.map(drop),
        }
    }

    async fn note(&self, statement: &'static Statement) -> Result<()> {
        self.db.write_quietly(statement, &[&self.key]).await.map(drop)
    }
}

/// Returns the stored count in a row, if any.
fn failure_count(row: &Row) -> Option<FailureCount> {
    let failures: Option<i32> = row.get("failures");
    Some(FailureCount { failures: failures?.unsigned_abs(), counted: row.get("counted") })
}
