//! The guess limiter: failed guesses at secrets, counted in the database by all instances together.
//!
//! A guess begins with [`GuessLimiter::attempt`], and ends with its outcome:
//!
//! ```text
//! let attempt = limiter.attempt(caller, GuessTarget::…).await?;     // counted as a failure already
//! let is_right = attempt.is_admitted() && …;                        // as much work either way, and the same answer
//! attempt.end(if is_right { Outcome::Succeeded } else { Outcome::Failed }).await?;
//! ```
//!
//! An attempt is counted before it is verified, in one statement that succeeds only when nothing changed since the state was
//! read: of a hundred at once, each counts. One that is dropped has failed. So that right passwords are not refused because of
//! each other, four attempts are under way at a time in this process, and the others wait for them.

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

use backoff::{ACCOUNT, ADDRESS, FailureCount};
use concurrency::{ConcurrencyLimiter, Permit, WAIT_TIMEOUT, crowded};

/// An attempt that has not ended after this time never will: its instance is gone. Longer than a password waits for its hash.
const MAX_ATTEMPT_TIME: Duration = Duration::from_secs(20);

/// The pause between two looks whether the other attempts are done: a few per hash.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Counts guesses.
#[derive(Clone)]
pub(in crate::engine) struct GuessLimiter {
    db: Arc<Db>,
    /// Hides the targets: a reader of the table who has no key cannot even check a name. Another first master key begins other
    /// counts.
    keys: MacKeys,
    concurrency: Arc<ConcurrencyLimiter>,
}

/// The target of a guess.
pub(in crate::engine) struct GuessTarget {
    /// The kind, as the event records it. Never what was sent.
    kind: &'static str,
    of: String,
    account: Option<UserId>,
    counts_address: bool,
}

impl GuessTarget {
    /// The password of a name, whether or not there is such an account, from an unknown device.
    pub(in crate::engine) fn password_of(name: &str, account: Option<UserId>) -> Self {
        Self { kind: "login", of: name.to_owned(), account, counts_address: true }
    }

    /// The password of an account, from a device on which it logged in. The address does not count: a user who shares it with an
    /// attacker gets in.
    pub(in crate::engine) fn password_on(device: &str, account: UserId) -> Self {
        Self { kind: "device", of: format!("{account}\0{device}"), account: Some(account), counts_address: false }
    }

    /// The password of the account whose valid token the caller has, asked for once more.
    pub(in crate::engine) fn password_again(account: UserId) -> Self {
        Self { kind: "password", of: account.to_string(), account: Some(account), counts_address: false }
    }
}

/// One guess, counted as a failure until its outcome is known. When it is dropped (its caller has gone, say), it has failed.
pub(in crate::engine) struct Attempt {
    // Taken when the outcome is known.
    record: Option<Box<Record>>,
    key: String,
    is_admitted: bool,
    permit: Option<Permit>,
}

/// What is stored of a failure.
struct Record {
    db: Arc<Db>,
    caller: Caller,
    target: GuessTarget,
    key: String,
    /// The key of its address, when the address counts.
    address: Option<String>,
    /// The number of failures including this one; `None` when it is not admitted.
    failures: Option<u32>,
    /// How long its account has to wait, when it is not admitted because of that.
    wait: Option<Duration>,
}

impl GuessLimiter {
    pub(in crate::engine) fn new(db: Arc<Db>, keys: &MasterKeys) -> Result<Self> {
        Ok(Self { db, keys: MacKeys::new(keys, "authy throttle keys")?, concurrency: Arc::default() })
    }

    fn key(&self, purpose: &str, text: &str) -> String {
        self.keys.sign(&format!("{purpose}\0{text}"))
    }

    /// Begins a guess, counted before it is verified.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when too many attempts at the same target wait; [`ErrorKind::Unavailable`] when the database is
    /// away.
    pub(in crate::engine) async fn attempt(&self, caller: &Caller, target: GuessTarget) -> Result<Attempt> {
        let key = self.key(target.kind, &target.of);
        let network = caller.client_info().network().filter(|_| target.counts_address);
        let address = network.map(|network| self.key("address", &network));
        let permit = self.concurrency.acquire(&key).await?;
        let (db, caller) = (self.db.clone(), caller.clone());
        let mut record = Box::new(Record { db, caller, target, key: key.clone(), address, failures: None, wait: None });
        record.reserve().await?;
        let is_admitted = record.failures.is_some();
        // An attempt that is not verified delays no other.
        Ok(Attempt { record: Some(record), key, is_admitted, permit: Some(permit).filter(|_| is_admitted) })
    }

    /// Runs the verification of a one-time code. A wrong one counts for its address, as a wrong password does, in one count for
    /// all instances.
    ///
    /// # Errors
    /// Those of the work, of which [`ErrorKind::NotFound`] counts; [`ErrorKind::RateLimited`] without any work after too many of
    /// them.
    pub(in crate::engine) async fn guess_code<T>(
        &self,
        caller: &Caller,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(network) = caller.client_info().network() else { return work.await };
        let address = self.key("address", &network);
        let params: Params<'_> = &[&vec![&*address], &MAX_ATTEMPT_TIME.as_secs_f64()];
        let found = self.db.read_one(&sql::FIND, params).await?;
        if !ADDRESS.admits(failure_count(&found), found.get("now")) {
            let error = Error::new(ErrorKind::RateLimited, "too many wrong codes and passwords came from this address");
            return Err(error.with_retry_after(ADDRESS.memory));
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

    /// Forgets the failed guesses at the password of a name, because it has a new one.
    pub(in crate::engine) async fn forgive(&self, tx: &Transaction<'_>, name: &Username) -> Result<()> {
        let GuessTarget { kind, of, .. } = GuessTarget::password_of(&name.key(), None);
        sql::CLEAR.rows(tx, &[&self.key(kind, &of)]).await.map(drop)
    }
}

impl Attempt {
    /// Whether it may be verified. If not, the answer is that to a wrong guess, after the same work.
    pub(in crate::engine) fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// Returns how long its account has to wait, when it is not admitted because of failures at that account. Only for callers
    /// with a token: to others it would reveal whether there were failures.
    pub(in crate::engine) fn wait(&self) -> Option<Duration> {
        self.record.as_ref()?.wait
    }

    /// Returns the key of the count, for a statement that deletes it itself when the guess was right.
    pub(in crate::engine) fn key(&self) -> &str {
        &self.key
    }

    /// Ends a guess that was right, after a statement has deleted the count.
    pub(in crate::engine) fn settled(mut self) {
        self.record = None;
    }

    /// Ends a guess: right, or else wrong or not admitted.
    pub(in crate::engine) async fn end(mut self, outcome: Outcome) -> Result<()> {
        match (self.record.take(), outcome) {
            (None, _) => Ok(()),
            (Some(record), Outcome::Failed) => record.fail().await,
            (Some(record), Outcome::Succeeded) => record.note(&sql::CLEAR).await,
        }
    }

    /// Ends a guess that does not count: it was not verified, or it was right and something else went wrong.
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
                tracing::warn!(%error, "an attempt that was given up was not settled");
            }
            drop(permit);
        });
    }
}

impl Record {
    /// Counts the attempt, or finds that it is not admitted.
    async fn reserve(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < WAIT_TIMEOUT {
            let keys: Vec<&str> = [Some(&*self.key), self.address.as_deref()].into_iter().flatten().collect();
            let found = self.db.read(&sql::FIND, &[&keys, &MAX_ATTEMPT_TIME.as_secs_f64()]).await?;
            let Some(own) = found.first() else { break };
            let (now, before) = (own.get::<_, DateTime<Utc>>("now"), failure_count(own));
            if !ADDRESS.admits(found.get(1).and_then(failure_count), now) {
                // Like a wait of an account: no failure, and it prolongs nothing.
                let address = self.address.take();
                return self.db.write_quietly(&sql::REFUSE, &[&address]).await.map(drop);
            }
            if !ACCOUNT.admits(before, now) {
                if !own.get::<_, bool>("is_pending") {
                    self.wait = Some(ACCOUNT.wait(before, now));
                    return self.note(&sql::REFUSE).await;
                }
                // One of those under way may be right.
                sleep(RETRY_PAUSE).await;
            } else if let Some(next) = ACCOUNT.next(before, Outcome::Failed, now)
                && self.count(before, next).await?
            {
                self.failures = Some(next.failures);
                return Ok(());
            }
            // Or another attempt was counted meanwhile: read again.
        }
        Err(crowded())
    }

    /// Counts the attempt when everything is as it was before.
    async fn count(&self, before: Option<FailureCount>, next: FailureCount) -> Result<bool> {
        let (failures, forgotten) = (next.failures.cast_signed(), ACCOUNT.forgotten(next));
        let (seen, since) = (before.map(|count| count.failures.cast_signed()), before.map(|count| count.counted));
        let longest = MAX_ATTEMPT_TIME.as_secs_f64();
        let params: Params<'_> = &[&self.key, &failures, &next.counted, &forgotten, &seen, &since, &longest];
        Ok(self.db.write_quietly(&sql::RESERVE, params).await?.is_some())
    }

    /// Stores that the attempt has failed.
    async fn fail(&self) -> Result<()> {
        let has_event = self.failures.is_some_and(|failures| ACCOUNT.begins_to_slow(failures));
        let event = Event::new(EventKind::AccountThrottled, &Actor::by_secret(&self.caller));
        let Columns { event_id, kind, actor, actor_kind, ip, user_agent, request_id } = event.columns();
        let (about, detail) = (
            self.target.account.map(|user| *user.as_uuid()),
            json!({ "of": self.target.kind, "failures": self.failures }),
        );
        let (was_admitted, memory) = (self.failures.is_some(), ADDRESS.memory.as_secs_f64());
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

/// Returns what is stored in a row, if anything.
fn failure_count(row: &Row) -> Option<FailureCount> {
    let failures: Option<i32> = row.get("failures");
    Some(FailureCount { failures: failures?.unsigned_abs(), counted: row.get("counted") })
}
