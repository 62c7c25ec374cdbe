//! The one way to write: a transaction in which the actor is proven, and which is committed with its event.

use std::{ops::Deref, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio_postgres::{IsolationLevel, Transaction};

use crate::{
    Result, UserId,
    engine::{
        journal::{
            actor::{self, Actor, Subject},
            caller::Caller,
            event::Event,
            revocation::RevocationFeed,
        },
        storage::{
            connector::db_error,
            db::{Db, LOCK_TIMEOUT},
            fault,
        },
    },
    revocation::Revocation,
};

/// Maximum time of one statement of a write, unless the write sets another.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes, and puts in force what a write revoked.
pub(in crate::engine) struct Journal {
    pub(in crate::engine) db: Arc<Db>,
    pub(in crate::engine) feed: Arc<RevocationFeed>,
}

impl Journal {
    /// Runs a write: begins a transaction, does the work, appends its events, commits, and puts in force what they revoke before
    /// it returns. When the work fails, everything is rolled back.
    ///
    /// The work proves the actor by [`Tx::prove`] and its siblings; without an actor there is no event.
    ///
    /// # Errors
    /// Those of the work; [`ErrorKind::Unavailable`] when the database is away.
    pub(in crate::engine) async fn write<T, W: Into<Written<T>>>(
        &self,
        caller: &Caller,
        work: impl AsyncFnOnce(&Tx<'_>) -> Result<W>,
    ) -> Result<T> {
        let mut connection = self.db.connection().await?;
        // Whatever the database's default is: what was read after a lock must be what the lock's last holder committed.
        let begin = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(false);
        let transaction = fault::around("begin", begin.start()).await.map_err(db_error)?;
        let tx = Tx { transaction: &transaction, caller };
        tx.limit_statements(STATEMENT_TIMEOUT);
        let Written { value, events, ending } = work(&tx).await?.into();
        if ending == Ending::RolledBack {
            return Ok(value);
        }
        let has_events = !events.is_empty();
        let revoked = append(&transaction, events).await?;
        fault::point("the commit");
        fault::around("commit", transaction.commit()).await.map_err(db_error)?;
        if has_events {
            self.announce(&revoked);
            fault::point("the caller is told");
        }
        Ok(value)
    }

    /// Does the same work inside a transaction of the embedding program, which commits it.
    ///
    /// # Errors
    /// As [`write`](Self::write), and [`ErrorKind::InvalidInput`] when the transaction is not READ COMMITTED.
    pub(in crate::engine) async fn join<T, W: Into<Written<T>>>(
        &self,
        transaction: &Transaction<'_>,
        caller: &Caller,
        work: impl AsyncFnOnce(&Tx<'_>) -> Result<W>,
    ) -> Result<Uncommitted<T>> {
        actor::require_read_committed(transaction).await?;
        let Written { value, events, .. } = work(&Tx { transaction, caller }).await?.into();
        Ok(Uncommitted { value, revocations: append(transaction, events).await? })
    }

    /// Puts in force what a committed write of the embedding program revoked.
    pub(in crate::engine) fn committed<T>(&self, write: Uncommitted<T>) -> T {
        self.announce(&write.revocations);
        write.value
    }

    /// Puts in force here what was committed just now, and wakes the sinks and the other instances.
    fn announce(&self, revoked: &[Revocation]) {
        self.db.wake_relay();
        if !revoked.is_empty() {
            self.feed.apply(revoked);
            self.feed.notify_others();
        }
    }
}

async fn append(transaction: &Transaction<'_>, events: Vec<Event>) -> Result<Vec<Revocation>> {
    let mut revoked = Vec::new();
    for event in events {
        revoked.extend(event.append(transaction).await?);
    }
    Ok(revoked)
}

/// An open transaction, and the caller for whom it writes.
pub(in crate::engine) struct Tx<'t> {
    transaction: &'t Transaction<'t>,
    caller: &'t Caller,
}

impl Tx<'_> {
    /// Proves the caller.
    ///
    /// # Errors
    /// As [`Actor::prove`].
    pub(in crate::engine) async fn prove(&self) -> Result<Actor> {
        Actor::prove(self.transaction, self.caller).await
    }

    /// Proves the caller, and locks the account that the write is about.
    ///
    /// # Errors
    /// As [`Actor::prove_on`].
    pub(in crate::engine) async fn prove_on(&self, user: UserId) -> Result<(Actor, Subject)> {
        Actor::prove_on(self.transaction, self.caller, user).await
    }

    /// Proves that the caller may do everything.
    ///
    /// # Errors
    /// As [`Actor::prove`], and [`ErrorKind::BeyondYourLevel`].
    pub(in crate::engine) async fn prove_full_power(&self) -> Result<Actor> {
        let actor = self.prove().await?;
        actor.require_full_power()?;
        Ok(actor)
    }

    /// Proves that the caller is the operator.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`].
    pub(in crate::engine) fn operator(&self) -> Result<Actor> {
        Actor::operator(self.caller)
    }

    /// Returns the actor of a write that checks a secret itself. See [`Actor::by_secret`].
    pub(in crate::engine) fn by_secret(&self) -> Actor {
        Actor::by_secret(self.caller)
    }

    /// Limits each statement to that time. A statement that waits for a lock longer than a caller waits for an answer only holds
    /// a connection, so the wait for a lock is limited too.
    pub(in crate::engine) fn limit_statements(&self, time: Duration) {
        let (lock, time) = (LOCK_TIMEOUT.as_millis(), time.as_millis());
        // Sent with the next statement and not waited for: should it fail, so does the transaction.
        let set = format!("SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {time}");
        let _ = self.transaction.batch_execute(&set).now_or_never();
    }
}

impl<'t> Deref for Tx<'t> {
    type Target = Transaction<'t>;

    fn deref(&self) -> &Transaction<'t> {
        self.transaction
    }
}

/// What the work of a write made, and how its transaction ends.
#[must_use]
pub(in crate::engine) struct Written<T = ()> {
    value: T,
    events: Vec<Event>,
    ending: Ending,
}

#[derive(PartialEq)]
enum Ending {
    Committed,
    RolledBack,
}

impl<T> Written<T> {
    /// Commits with an event.
    pub(in crate::engine) fn new(value: T, event: Event) -> Self {
        Self::with_events(value, vec![event])
    }

    /// Commits with several events; rolls back when there is none, because then nothing has changed.
    pub(in crate::engine) fn with_events(value: T, events: Vec<Event>) -> Self {
        match events.is_empty() {
            true => Self::unchanged(value),
            false => Self { value, events, ending: Ending::Committed },
        }
    }

    /// Replaces the value.
    pub(in crate::engine) fn map<U>(self, replace: impl FnOnce(T) -> U) -> Written<U> {
        Written { value: replace(self.value), events: self.events, ending: self.ending }
    }

    /// Rolls back: there was nothing to do.
    pub(in crate::engine) fn unchanged(value: T) -> Self {
        Self { value, events: Vec::new(), ending: Ending::RolledBack }
    }

    /// Commits a change that no caller can see, such as the deletion of what has expired. CONTRIBUTING.md lists every use.
    pub(in crate::engine) fn without_event(value: T) -> Self {
        Self { value, events: Vec::new(), ending: Ending::Committed }
    }
}

impl From<Event> for Written {
    fn from(event: Event) -> Self {
        Self::new((), event)
    }
}

/// A write inside a transaction of the embedding program, which has yet to be committed.
///
/// Pass it to [`Authy::committed`](crate::Authy::committed) after the commit: this process then refuses the tokens that the write
/// revoked at once, all others within milliseconds, and sinks get the event without delay. When it is dropped instead, after a
/// rollback or by mistake, nothing is lost: the next poll finds a committed revocation, and its event, within a second.
#[must_use = "pass it to Authy::committed after the commit, so that what it revoked is refused here at once"]
#[derive(Debug)]
pub struct Uncommitted<T = ()> {
    value: T,
    revocations: Vec<Revocation>,
}

impl<T> Uncommitted<T> {
    /// Returns the value that the method made, such as the id of a new user, for rows of the same transaction that refer to it.
    pub fn value(&self) -> &T {
        &self.value
    }
}
