//! The guess limiter: counts failed guesses at secrets in the database, for all instances together.
//!
//! A guess begins with [`GuessLimiter::attempt`], and ends with its outcome:
//!
//! ```text
//! let attempt = limiter.attempt(caller, GuessTarget::…, seen).await?;
//! let is_right = attempt.is_admitted() && …;                        // as much work either way, and the same answer
//! attempt.end(if is_right { Outcome::Succeeded } else { Outcome::Failed }).await?;
//! ```
//!
//! When a failure is on record, of the target or of the address, an attempt is reserved: counted before it is verified,
//! in one statement that succeeds only when the state has not changed since it was read, so that each of a hundred
//! concurrent attempts counts. When nothing is on record, as for almost every login, nothing is written before the
//! verification, and a failure is counted after it. A dropped attempt counts as failed in either case, unless its password
//! still waited to be verified.
//!
//! Four attempts at a target run at the same time in this process, and the others wait. So at most four per process are
//! not on record while they run, and an attacker can exceed the limit by four on each server, once: those that begin
//! after the first failure find it ([`FailureClock`]).

use std::{future::Future, sync::Arc};

use tokio_postgres::Transaction;

use crate::{
    Error, ErrorKind, Result, UserId,
    engine::{
        crypto::{mac::MacKeys, master::MasterKeys},
        journal::caller::Caller,
        storage::{db::Db, statement::Params},
    },
};

mod attempt;
mod backoff;
mod concurrency;
mod failure_clock;
mod record;
pub(in crate::engine) mod sql;
mod standing;
pub(in crate::engine) mod statistics;
mod target;

pub(in crate::engine) use attempt::Attempt;
pub(in crate::engine) use backoff::Outcome;
pub(in crate::engine) use concurrency::MAX_ATTEMPT_WAIT;
pub(in crate::engine) use record::MAX_ATTEMPT_TIME;
pub(in crate::engine) use standing::{LoginKeys, Standing};
pub(in crate::engine) use target::GuessTarget;

use backoff::ADDRESS_POLICY;
use concurrency::ConcurrencyLimiter;
use failure_clock::FailureClock;
use record::{Admission, Record};
use standing::failure_count;
use statistics::{GuessCounts, GuessStatistics};
use target::TargetName;

/// Counts guesses.
#[derive(Clone)]
pub(in crate::engine) struct GuessLimiter {
    db: Arc<Db>,
    /// Hides the targets: without the key, a reader of the table cannot even check a name. A new first master key
    /// starts new counts of them.
    keys: MacKeys,
    concurrency: Arc<ConcurrencyLimiter>,
    clock: Arc<FailureClock>,
    counts: Arc<GuessCounts>,
}

impl GuessLimiter {
    pub(in crate::engine) fn new(db: Arc<Db>, keys: &MasterKeys) -> Result<Self> {
        let keys = MacKeys::new(keys, "authy throttle keys")?;
        Ok(Self { db, keys, concurrency: Arc::default(), clock: Arc::default(), counts: Arc::default() })
    }

    /// Returns what was counted since the start of this instance.
    pub(in crate::engine) fn statistics(&self) -> GuessStatistics {
        self.counts.snapshot()
    }

    fn mac(&self, purpose: &str, text: &str) -> String {
        self.keys.sign(&format!("{purpose}\0{text}"))
    }

    fn key(&self, target: &GuessTarget) -> String {
        match &target.of {
            TargetName::Plain(name) => name.clone(),
            TargetName::Hidden(name) => self.mac(target.kind, name),
        }
    }

    /// Returns the key of the caller's address, if it is known.
    fn address_key(&self, caller: &Caller) -> Option<String> {
        caller.client_info().network().map(|network| self.mac("address", &network))
    }

    /// Returns the keys of the counts that can apply to a login: of the name, if no account has it, and of the device
    /// whose token was presented, if that is valid.
    pub(in crate::engine) fn login_keys(
        &self,
        caller: &Caller,
        unknown: &GuessTarget,
        device: Option<&str>,
    ) -> LoginKeys {
        LoginKeys {
            unknown: self.key(unknown),
            address: self.address_key(caller),
            device: device.map(|device| self.mac("device", device)),
            since: self.clock.now(),
        }
    }

    /// Begins a guess. `seen` is what was read about it before, if anything.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when too many attempts at the same target wait; [`ErrorKind::Unavailable`] when the
    /// database is not available.
    pub(in crate::engine) async fn attempt(
        &self,
        caller: &Caller,
        target: GuessTarget,
        seen: Option<Standing>,
    ) -> Result<Attempt> {
        let key = self.key(&target);
        let address = if target.counts_address { self.address_key(caller) } else { None };
        let place = self.concurrency.enter(&key)?;
        let mut attempt = Attempt::new(self.record(caller, target, key, address), place);
        attempt.begin(seen).await?;
        Ok(attempt)
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
        let Some(address) = self.address_key(caller) else { return work.await };
        let params: Params<'_> = &[&vec![&*address], &MAX_ATTEMPT_TIME.as_secs_f64()];
        let found = self.db.read_one(&sql::FIND, params).await?;
        if !ADDRESS_POLICY.admits(failure_count(&found, "failures", "counted"), found.get("now")) {
            let error = Error::new(ErrorKind::RateLimited, "too many wrong codes and passwords came from this address");
            return Err(error.with_retry_after(ADDRESS_POLICY.memory));
        }
        let done = work.await;
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            // Nothing is stored under an empty key.
            self.record(caller, GuessTarget::code(), String::new(), Some(address)).fail().await?;
        }
        done
    }

    fn record(&self, caller: &Caller, target: GuessTarget, key: String, address: Option<String>) -> Record {
        let (db, caller, counts, clock) = (self.db.clone(), caller.clone(), self.counts.clone(), self.clock.clone());
        Record { db, caller, counts, clock, target, key, address, admission: Admission::Waiting }
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
        sql::CLEAR.rows(tx, &[&self.key(&target)]).await.map(drop)
    }
}
