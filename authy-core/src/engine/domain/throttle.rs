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
//! An attempt is counted before it is verified, in one statement that succeeds only when the state has not changed
//! since it was read: each of a hundred concurrent attempts counts. A dropped attempt counts as failed. So that
//! concurrent correct passwords are not refused, four attempts at a target run at the same time in this process, and
//! the others wait.

use std::{
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_postgres::Transaction;
use tracing::Instrument as _;

use crate::{
    Error, ErrorKind, Result, UserId,
    engine::{
        crypto::{mac::MacKeys, master::MasterKeys},
        journal::caller::Caller,
        storage::{db::Db, statement::Params},
    },
};

mod backoff;
mod concurrency;
mod record;
pub(in crate::engine) mod sql;
pub(in crate::engine) mod statistics;

pub(in crate::engine) use backoff::Outcome;

use backoff::ADDRESS_POLICY;
use concurrency::{ConcurrencyLimiter, Permit};
use record::{MAX_ATTEMPT_TIME, Record, failure_count};
use statistics::{GuessCounts, GuessStatistics};

/// Counts guesses.
#[derive(Clone)]
pub(in crate::engine) struct GuessLimiter {
    db: Arc<Db>,
    /// Hides the targets: without the key, a reader of the table cannot even check a name. A new first master key
    /// starts new counts.
    keys: MacKeys,
    concurrency: Arc<ConcurrencyLimiter>,
    counts: Arc<GuessCounts>,
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
    /// The password for an account, from an unknown device. All spellings of its name have one count.
    pub(in crate::engine) fn password_of(account: UserId) -> Self {
        Self { kind: "login", of: format!("account\0{account}"), account: Some(account), counts_address: true }
    }

    /// The password for a username that no account has: counted in the same way, so that it looks like any other.
    pub(in crate::engine) fn password_of_unknown(name: &str) -> Self {
        Self { kind: "login", of: format!("name\0{name}"), account: None, counts_address: true }
    }

    /// The password for an account, from a device on which it logged in. The address does not count: a user who shares
    /// it with an attacker can log in.
    pub(in crate::engine) fn password_on(device: &str, account: UserId) -> Self {
        Self { kind: "device", of: format!("{account}\0{device}"), account: Some(account), counts_address: false }
    }

    /// The password for the account of the caller's valid token.
    pub(in crate::engine) fn password_again(account: UserId) -> Self {
        Self { kind: "password", of: account.to_string(), account: Some(account), counts_address: false }
    }
}

/// A guess, counted as a failure until its outcome is known. A dropped one (its caller has gone, for example) has
/// failed.
pub(in crate::engine) struct Attempt {
    // Taken when the outcome is known.
    record: Option<Box<Record>>,
    key: String,
    is_admitted: bool,
    permit: Option<Permit>,
}

impl GuessLimiter {
    pub(in crate::engine) fn new(db: Arc<Db>, keys: &MasterKeys) -> Result<Self> {
        let keys = MacKeys::new(keys, "authy throttle keys")?;
        Ok(Self { db, keys, concurrency: Arc::default(), counts: Arc::default() })
    }

    /// Returns what was counted since the start of this instance.
    pub(in crate::engine) fn statistics(&self) -> GuessStatistics {
        self.counts.snapshot()
    }

    fn key(&self, purpose: &str, text: &str) -> String {
        self.keys.sign(&format!("{purpose}\0{text}"))
    }

    /// Begins a guess, which is counted before it is verified.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when too many attempts at the same target wait; [`ErrorKind::Unavailable`] when the
    /// database is not available.
    pub(in crate::engine) async fn attempt(&self, caller: &Caller, target: GuessTarget) -> Result<Attempt> {
        let key = self.key(target.kind, &target.of);
        let network = caller.client_info().network().filter(|_| target.counts_address);
        let address = network.map(|network| self.key("address", &network));
        let permit = self.concurrency.acquire(&key).await?;
        let mut record = Box::new(self.record(caller, target, key.clone(), address));
        record.reserve().await?;
        let is_admitted = record.failures.is_some();
        if !is_admitted {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        // An attempt that is not verified does not delay others.
        Ok(Attempt { record: Some(record), key, is_admitted, permit: Some(permit).filter(|_| is_admitted) })
    }

    /// Runs the verification of a one-time code. A wrong code counts for its address, together with wrong passwords,
    /// for all instances.
    ///
    /// # Errors
    /// Those of the work, of which [`ErrorKind::NotFound`] counts; [`ErrorKind::RateLimited`], without running the
    /// work, after too many.
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
            // Only the address counts: nothing is stored under an empty key.
            self.record(caller, target, String::new(), Some(address)).fail().await?;
        }
        done
    }

    fn record(&self, caller: &Caller, target: GuessTarget, key: String, address: Option<String>) -> Record {
        let (db, caller, counts) = (self.db.clone(), caller.clone(), self.counts.clone());
        Record { db, caller, counts, target, key, address, failures: None, wait: None }
    }

    /// Deletes the failed guesses at the password of an account, because the password was changed.
    pub(in crate::engine) async fn forget_guesses(&self, tx: &Transaction<'_>, account: UserId) -> Result<()> {
        self.clear(tx, GuessTarget::password_of(account)).await
    }

    /// Deletes the failed guesses at the password of an account, those of its owner before a change included.
    pub(in crate::engine) async fn forget_all_guesses(&self, tx: &Transaction<'_>, account: UserId) -> Result<()> {
        self.forget_guesses(tx, account).await?;
        self.clear(tx, GuessTarget::password_again(account)).await
    }

    async fn clear(&self, tx: &Transaction<'_>, target: GuessTarget) -> Result<()> {
        sql::CLEAR.rows(tx, &[&self.key(target.kind, &target.of)]).await.map(drop)
    }
}

impl Attempt {
    /// Returns whether the guess may be verified. If not, the caller must get the same result as for a wrong guess,
    /// after the same work.
    pub(in crate::engine) fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// Returns the time to wait, when the guess is not admitted because of failures at its account. Only for callers
    /// with a token: to others it would reveal that there were failures.
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
        let work = async move {
            if let Err(error) = record.fail().await {
                tracing::warn!(%error, "an abandoned attempt was not recorded");
            }
            drop(permit);
        };
        runtime.spawn(work.in_current_span());
    }
}
