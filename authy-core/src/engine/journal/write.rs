//! Writes: transactions in which the actor is proven, and which are committed with their event.

use std::{ops::Deref, sync::Arc, time::Duration};

use deadpool_postgres::Object;
use futures_util::FutureExt as _;
use tokio::time::timeout;
use tokio_postgres::{IsolationLevel, Transaction};
use uuid::Uuid;

use crate::{
    Error, Result, UserId,
    engine::{
        journal::{
            actor::{self, Actor, Subject},
            caller::Caller,
            event::Event,
            revocation::RevocationFeed,
        },
        storage::{
            connector::{db_error, not_in_time},
            db::{Db, LOCK_TIMEOUT},
            fault,
        },
    },
    revocation::Revocation,
};

/// Maximum time of a write. Less than the ten seconds for which clients wait: they get an answer, also from a database host that is
/// frozen and never answers.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

/// Maximum pause between two statements of a write, whose work does nothing else. Then PostgreSQL ends the transaction: the process
/// is frozen, and others wait for the locks of the transaction.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Performs writes, and applies the revocations of each.
pub(in crate::engine) struct Journal {
    pub(in crate::engine) db: Arc<Db>,
    pub(in crate::engine) feed: Arc<RevocationFeed>,
}

impl Journal {
    /// Performs a write: begins a transaction, runs the work, appends its events, commits, and applies the revocations
    /// before it returns. When the work fails, everything is rolled back.
    ///
    /// The work proves the actor with [`Tx::prove`] or a similar method; without an actor there is no event.
    ///
    /// # Errors
    /// Those of the work; [`ErrorKind::Unavailable`] when the database is not available.
    pub(in crate::engine) async fn write<T, W: Into<Written<T>>>(
        &self,
        caller: &Caller,
        work: impl AsyncFnOnce(&Tx<'_>) -> Result<W>,
    ) -> Result<T> {
        self.write_within(WRITE_TIMEOUT, caller, work).await
    }

    /// Performs a [`write`](Self::write) that takes longer.
    pub(in crate::engine) async fn write_within<T, W: Into<Written<T>>>(
        &self,
        limit: Duration,
        caller: &Caller,
        work: impl AsyncFnOnce(&Tx<'_>) -> Result<W>,
    ) -> Result<T> {
        let generation = self.db.generation();
        let written = self.try_write(limit, caller, work).await;
        written.inspect_err(|error| {
            self.db.writes().failed(error);
            self.db.leave_if_demoted(generation, error);
        })
    }

    async fn try_write<T, W: Into<Written<T>>>(
        &self,
        limit: Duration,
        caller: &Caller,
        work: impl AsyncFnOnce(&Tx<'_>) -> Result<W>,
    ) -> Result<T> {
        let mut connection = self.db.connection().await?;
        let written = timeout(limit, self.write_on(&mut connection, limit, caller, work)).await;
        let written = written.unwrap_or_else(|_| Err(not_in_time()));
        if written.as_ref().is_err_and(Error::is_unavailable) {
            // The connection may still be waiting for its answer: it must not be reused.
            drop(Object::take(connection));
        }
        written
    }

    async fn write_on<T, W: Into<Written<T>>>(
        &self,
        connection: &mut Object,
        limit: Duration,
        caller: &Caller,
        work: impl AsyncFnOnce(&Tx<'_>) -> Result<W>,
    ) -> Result<T> {
        // Regardless of the database's default: a read after a lock must see what the previous holder of the lock
        // committed.
        let begin = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(false);
        let transaction = fault::around("begin", begin.start()).await.map_err(db_error)?;
        let tx = Tx { transaction: &transaction, caller };
        self.db.set_local(&transaction);
        tx.limit_statements(limit);
        let Written { value, events, ending } = work(&tx).await?.into();
        if ending == Ending::RolledBack {
            return Ok(value);
        }
        let appended = append(&transaction, events).await?;
        fault::point("the commit");
        fault::around("commit", transaction.commit()).await.map_err(db_error)?;
        self.db.writes().succeeded();
        if appended.last_event.is_some() {
            self.announce(&appended);
            fault::point("the response");
        }
        Ok(value)
    }

    /// Runs the same work inside of a transaction of the embedding program, which commits it.
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
        Ok(Uncommitted { value, appended: append(transaction, events).await? })
    }

    /// Applies the revocations of a committed write of the embedding program.
    pub(in crate::engine) fn committed<T>(&self, write: Uncommitted<T>) -> T {
        self.announce(&write.appended);
        write.value
    }

    /// Applies the revocations of a commit, and wakes the relay and the other instances.
    fn announce(&self, Appended { last_event, revocations }: &Appended) {
        if let Some(event) = last_event {
            self.feed.history.note_commit(*event);
        }
        self.db.wake_relay();
        if !revocations.is_empty() {
            self.feed.apply(revocations);
            self.feed.notify_others();
        }
    }
}

/// What a write has appended in its transaction.
#[derive(Debug, Default)]
struct Appended {
    last_event: Option<Uuid>,
    revocations: Vec<Revocation>,
}

async fn append(transaction: &Transaction<'_>, events: Vec<Event>) -> Result<Appended> {
    let mut appended = Appended::default();
    for event in events {
        let (id, revocations) = event.append(transaction).await?;
        appended.last_event = Some(id);
        appended.revocations.extend(revocations);
    }
    Ok(appended)
}

/// An open transaction, and the caller on whose behalf it writes.
pub(in crate::engine) struct Tx<'t> {
    transaction: &'t Transaction<'t>,
    caller: &'t Caller,
}

impl Tx<'_> {
    /// Returns the caller's account; `None` without a token. Proves nothing.
    pub(in crate::engine) fn caller_id(&self) -> Option<UserId> {
        self.caller.id()
    }

    /// Proves the caller.
    ///
    /// # Errors
    /// As [`Actor::prove`].
    pub(in crate::engine) async fn prove(&self) -> Result<Actor> {
        Actor::prove(self.transaction, self.caller).await
    }

    /// Proves the caller, and locks the account that the write changes.
    ///
    /// # Errors
    /// As [`Actor::prove_on`].
    pub(in crate::engine) async fn prove_on(&self, user: UserId) -> Result<(Actor, Subject)> {
        Actor::prove_on(self.transaction, self.caller, user).await
    }

    /// Proves that the caller has the most powerful level.
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

    /// Limits the time of each statement. The wait for a lock is limited, too: a statement that waits longer than its
    /// caller would only hold a connection.
    fn limit_statements(&self, time: Duration) {
        let (lock, time, idle) = (LOCK_TIMEOUT.as_millis(), time.as_millis(), IDLE_TIMEOUT.as_millis());
        // Sent with the next statement and not awaited: when it fails, so does the transaction.
        let set = format!(
            "SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {time};
             SET LOCAL idle_in_transaction_session_timeout = {idle}"
        );
        let _ = self.transaction.batch_execute(&set).now_or_never();
    }
}

impl<'t> Deref for Tx<'t> {
    type Target = Transaction<'t>;

    fn deref(&self) -> &Transaction<'t> {
        self.transaction
    }
}

/// The result of the work of a write, and the way in which its transaction ends.
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

    /// Commits with several events. Rolls back when there is none, because then nothing has changed.
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

    /// Rolls back, because there was nothing to do.
    pub(in crate::engine) fn unchanged(value: T) -> Self {
        Self { value, events: Vec::new(), ending: Ending::RolledBack }
    }

    /// Commits a change that callers cannot see, such as the deletion of expired rows. CONTRIBUTING.md lists every use.
    pub(in crate::engine) fn without_event(value: T) -> Self {
        Self { value, events: Vec::new(), ending: Ending::Committed }
    }
}

impl From<Event> for Written {
    fn from(event: Event) -> Self {
        Self::new((), event)
    }
}

/// A write inside of a transaction of the embedding program that is not committed yet.
///
/// Pass it to [`Authy::committed`](crate::Authy::committed) after the commit. This process then refuses the revoked
/// tokens immediately, all others within milliseconds, and sinks get the event without delay. When it is dropped
/// instead, after a rollback or by mistake, nothing is lost: the next poll finds a committed revocation and its event
/// within one second.
#[must_use = "pass it to Authy::committed after the commit, so that what it revoked is refused here at once"]
#[derive(Debug)]
pub struct Uncommitted<T = ()> {
    value: T,
    appended: Appended,
}

impl<T> Uncommitted<T> {
    /// Returns the value of the method, such as the ID of a new user, for rows of the same transaction that refer to
    /// it.
    pub fn value(&self) -> &T {
        &self.value
    }
}
