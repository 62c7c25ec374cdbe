//! Writes inside a transaction of the program that embeds the crate.

use tokio_postgres::Transaction;

use super::{Authy, actor, event::Event};
use crate::{Result, revocation::Revocation};

/// The result of an `…_in` method, whose transaction has yet to be committed.
///
/// Pass it to [`Authy::committed`] after the commit: this process then refuses the tokens that the write revoked at once, all
/// others within milliseconds, and sinks get the event without delay. When it is dropped instead, after a rollback or by mistake,
/// nothing is lost: the next poll finds a committed revocation, and its event, within a second.
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

impl Authy {
    /// Puts the revocations of a committed write in force in this process, and returns the value of the write. Call it after the
    /// commit, never before: a write that is rolled back must not revoke anything.
    pub fn committed<T>(&self, write: Uncommitted<T>) -> T {
        self.announce(&write.revocations);
        write.value
    }
}

/// Does a write in a transaction of the host's, and appends its event.
pub(super) async fn join<'a>(
    tx: &Transaction<'_>,
    work: impl Future<Output = Result<Event<'a>>>,
) -> Result<Uncommitted> {
    join_with(tx, async { Ok(((), work.await?)) }).await
}

/// The same for a write that makes something; without an event when it finds that there is nothing to do.
pub(super) async fn join_with<'a, T, E: Into<Option<Event<'a>>>>(
    tx: &Transaction<'_>,
    work: impl Future<Output = Result<(T, E)>>,
) -> Result<Uncommitted<T>> {
    actor::require_read_committed(tx).await?;
    let (value, event) = work.await?;
    let revocations = match event.into() {
        Some(event) => event.append(tx).await?,
        None => Vec::new(),
    };
    Ok(Uncommitted { value, revocations })
}

/// The same for a write with several events, or none.
pub(super) async fn join_all<'a>(
    tx: &Transaction<'_>,
    work: impl Future<Output = Result<Vec<Event<'a>>>>,
) -> Result<Uncommitted> {
    actor::require_read_committed(tx).await?;
    let mut revocations = Vec::new();
    for event in work.await? {
        revocations.extend(event.append(tx).await?);
    }
    Ok(Uncommitted { value: (), revocations })
}
