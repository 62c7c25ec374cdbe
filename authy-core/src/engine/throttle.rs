//! Guesses at secrets, counted in the database by all instances together.
//!
//! Whoever looks whether a guess is right asks [`Authy::attempt`] first, and says afterwards what came of it:
//!
//! ```text
//! let attempt = self.attempt(caller, Subject::…).await?;     // counted as a failure already
//! let is_right = attempt.is_admitted() && …;                 // as much work either way, and the same answer
//! attempt.end(if is_right { Outcome::Succeeded } else { Outcome::Failed }).await?;
//! ```
//!
//! An attempt is counted before it is looked at, in one statement that succeeds only when nothing changed since the state was
//! read: of a hundred at once, each counts. One that is dropped has failed. So that those who are right are not refused because
//! of each other, four at a time are under way here, and whoever would be refused because of others under way waits for them.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use serde_json::json;
use tokio::{runtime::Handle, time::sleep};
use tokio_postgres::{Row, Transaction};

use super::{
    Authy, Caller, MasterKeys,
    actor::Actor,
    db::Params,
    event::{Columns, Event},
    lockout::{ACCOUNT, ADDRESS, State},
    master::MacKeys,
    statements::Statement,
};
use crate::{Error, ErrorKind, Result, UserId, Username, api::event::EventKind};

pub(super) mod sql;
mod turns;

pub(super) use super::lockout::Outcome;

use turns::{PATIENCE, Turn, Turns, crowded};

/// An attempt that has not ended after so long never will: its instance is gone. Longer than a password waits for its hash.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(20);

/// How often it is looked whether the others are done: a few times while one hash is computed.
const PAUSE: Duration = Duration::from_millis(25);

/// What counts guesses.
pub(super) struct Throttle {
    /// Hides what is guessed at: who reads the table and has not the key cannot even check a name. Another first master key
    /// begins other counts.
    keys: MacKeys,
    turns: Arc<Turns>,
}

impl Throttle {
    pub(super) fn new(keys: &MasterKeys) -> Result<Self> {
        Ok(Self { keys: MacKeys::new(keys, "authy throttle keys")?, turns: Arc::default() })
    }

    fn key(&self, purpose: &str, text: &str) -> String {
        self.keys.sign(&format!("{purpose}\0{text}"))
    }
}

/// What is guessed at, and from where.
pub(super) struct Subject {
    /// What the event tells: never what was sent.
    what: &'static str,
    of: String,
    account: Option<UserId>,
    counts_address: bool,
}

impl Subject {
    /// The password of a name, whether or not anybody has it, from a device that is not known.
    pub(super) fn password_of(name: &str, account: Option<UserId>) -> Self {
        Self { what: "login", of: name.to_owned(), account, counts_address: true }
    }

    /// The password of an account, from a device it logged in on. The address is of no account: who shares it with a guesser
    /// gets in.
    pub(super) fn password_on(device: &str, account: UserId) -> Self {
        Self { what: "device", of: format!("{account}\0{device}"), account: Some(account), counts_address: false }
    }

    /// The password of the account that a good token belongs to, asked for once more.
    pub(super) fn password_again(account: UserId) -> Self {
        Self { what: "password", of: account.to_string(), account: Some(account), counts_address: false }
    }
}

/// One guess, counted as a failure until it says otherwise. Dropped without a word (its caller has gone, say), it has failed.
pub(super) struct Attempt {
    // Taken when it is known what came of it.
    record: Option<Box<Record>>,
    key: String,
    is_admitted: bool,
    wait: Option<Duration>,
    turn: Option<Turn>,
}

/// What is to be written down of a failure.
struct Record {
    authy: Authy,
    caller: Caller,
    subject: Subject,
    key: String,
    /// What its address counts under, when it does.
    address: Option<String>,
    /// How many failures there are with this one; nothing when it is not admitted.
    failures: Option<u32>,
    /// How long its account has to wait, when it is not admitted because of that.
    wait: Option<Duration>,
}

impl Authy {
    /// Begins a guess, counted before anybody looks at it.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) when too many guess at the same thing at once;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is away.
    pub(super) async fn attempt(&self, caller: &Caller, subject: Subject) -> Result<Attempt> {
        let throttle = self.throttle();
        let key = throttle.key(subject.what, &subject.of);
        let network = caller.origin().network().filter(|_| subject.counts_address);
        let address = network.map(|network| throttle.key("address", &network));
        let turn = throttle.turns.take(&key).await?;
        let (authy, caller) = (self.clone(), caller.clone());
        let mut record =
            Box::new(Record { authy, caller, subject, key: key.clone(), address, failures: None, wait: None });
        record.reserve().await?;
        let (is_admitted, wait) = (record.failures.is_some(), record.wait);
        // What is not looked at is in nobody's way.
        Ok(Attempt { record: Some(record), key, is_admitted, wait, turn: Some(turn).filter(|_| is_admitted) })
    }
}

impl Authy {
    /// Looks at a code that somebody sent. A wrong one counts for its address, as a wrong password does, in one count for all
    /// instances.
    ///
    /// # Errors
    /// Those of the work, of which `not_found` counts; [`ErrorKind::RateLimited`] without any work after too many of them.
    pub(super) async fn guess_code<T>(&self, caller: &Caller, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(network) = caller.origin().network() else { return work.await };
        let address = self.throttle().key("address", &network);
        let params: Params<'_> = &[&vec![&*address], &LONGEST_ATTEMPT.as_secs_f64()];
        let found = self.db().read_one(&sql::FIND, params).await?;
        if !ADDRESS.admits(state(&found), found.get("now")) {
            let error = Error::new(ErrorKind::RateLimited, "too many wrong codes and passwords came from this address");
            return Err(error.retry_after(ADDRESS.memory));
        }
        let done = work.await;
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            let subject = Subject { what: "code", of: String::new(), account: None, counts_address: true };
            let (authy, caller, address) = (self.clone(), caller.clone(), Some(address));
            // The address is all that counts: nothing is remembered under no key.
            Record { authy, caller, subject, key: String::new(), address, failures: None, wait: None }.fail().await?;
        }
        done
    }

    /// Forgives the guesses at the password of a name, which there is a new one of.
    pub(super) async fn forgive_guesses(&self, tx: &Transaction<'_>, name: &Username) -> Result<()> {
        let Subject { what, of, .. } = Subject::password_of(&name.key(), None);
        sql::CLEAR.rows(tx, &[&self.throttle().key(what, &of)]).await.map(drop)
    }
}

impl Attempt {
    /// Whether it may be looked at. If not, the answer is that to a wrong guess, after the same work.
    pub(super) fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// How long its account has to wait, when it is not admitted because of failures at that account. Only for callers who are
    /// known: to anybody else it would tell whether there were failures.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// What is counted under: for a statement that deletes it itself when the guess was right.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The guess was right, and a statement has deleted what was counted.
    pub(super) fn settled(mut self) {
        self.record = None;
    }

    /// The guess was right, or else it was wrong or not admitted.
    pub(super) async fn end(mut self, outcome: Outcome) -> Result<()> {
        match (self.record.take(), outcome) {
            (None, _) => Ok(()),
            (Some(record), Outcome::Failed) => record.fail().await,
            (Some(record), Outcome::Succeeded) => record.note(&sql::CLEAR).await,
        }
    }

    /// Nobody has looked at the guess, or it was right and something else went wrong: it does not count.
    pub(super) async fn retract(mut self) {
        if let Some(record) = self.record.take().filter(|_| self.is_admitted)
            && let Err(error) = record.note(&sql::RETRACT).await
        {
            tracing::warn!(%error, "an attempt that was not looked at counts as a failure");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let turn = self.turn.take();
        let (Some(record), Ok(runtime)) = (self.record.take(), Handle::try_current()) else { return };
        runtime.spawn(async move {
            if let Err(error) = record.fail().await {
                tracing::warn!(%error, "an attempt that was given up was not settled");
            }
            drop(turn);
        });
    }
}

impl Record {
    /// Counts the attempt, or finds that it is not admitted.
    async fn reserve(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let keys: Vec<&str> = [Some(&*self.key), self.address.as_deref()].into_iter().flatten().collect();
            let found = self.authy.db().read(&sql::FIND, &[&keys, &LONGEST_ATTEMPT.as_secs_f64()]).await?;
            let Some(own) = found.first() else { break };
            let (now, before) = (own.get::<_, SystemTime>("now"), state(own));
            if !ADDRESS.admits(found.get(1).and_then(state), now) {
                // Like a wait of an account: no failure, and it prolongs nothing.
                let address = self.address.take();
                return self.authy.db().note(&sql::REFUSE, &[&address]).await.map(drop);
            }
            if !ACCOUNT.admits(before, now) {
                if !own.get::<_, bool>("is_pending") {
                    self.wait = Some(ACCOUNT.wait(before, now));
                    return self.note(&sql::REFUSE).await;
                }
                // One of those under way may be right.
                sleep(PAUSE).await;
            } else if let Some(next) = ACCOUNT.next(before, Outcome::Failed, now)
                && self.count(before, next).await?
            {
                self.failures = Some(next.failures);
                return Ok(());
            }
            // Or somebody else was counted meanwhile: look again.
        }
        Err(crowded())
    }

    /// Counts the attempt when everything is as it was before.
    async fn count(&self, before: Option<State>, next: State) -> Result<bool> {
        let (failures, forgotten) = (next.failures.cast_signed(), ACCOUNT.forgotten(next));
        let (seen, since) = (before.map(|state| state.failures.cast_signed()), before.map(|state| state.counted));
        let longest = LONGEST_ATTEMPT.as_secs_f64();
        let params: Params<'_> = &[&self.key, &failures, &next.counted, &forgotten, &seen, &since, &longest];
        Ok(self.authy.db().note(&sql::RESERVE, params).await?.is_some())
    }

    /// Writes down that the attempt has failed.
    async fn fail(&self) -> Result<()> {
        let is_told = self.failures.is_some_and(|failures| ACCOUNT.begins_to_slow(failures));
        let Columns { event_id, kind, actor, origin, ip, user_agent, request_id } =
            Event::new(EventKind::AccountThrottled, &Actor::by_secret(&self.caller)).columns();
        let Subject { what, account, .. } = &self.subject;
        let (about, detail) = (account.map(|user| *user.as_uuid()), json!({ "of": what, "failures": self.failures }));
        let (was_admitted, memory) = (self.failures.is_some(), ADDRESS.memory.as_secs_f64());
        let (key, address) = (&self.key, &self.address);
        #[rustfmt::skip]
        let params: Params<'_> = &[
            key, &was_admitted, address, &memory, &is_told,
            &event_id, &kind, &actor, &origin, &about, &ip, &user_agent, &request_id, &detail,
        ];
        self.authy.db().note(&sql::FAIL, params).await?;
        if is_told {
            self.authy.db().tell_written();
        }
        Ok(())
    }

    async fn note(&self, statement: &'static Statement) -> Result<()> {
        self.authy.db().note(statement, &[&self.key]).await.map(drop)
    }
}

/// What is remembered, from a row of what was looked for.
fn state(row: &Row) -> Option<State> {
    let failures: Option<i32> = row.get("failures");
    Some(State { failures: failures?.unsigned_abs(), counted: row.get("counted") })
}
