//! Writes inside a transaction of the program that embeds the crate.

use tokio_postgres::Transaction;

use super::{Authy, actor, event::Event};
use crate::{Result, revocation::Revocation};

/// What an `…_in` method wrote into a transaction that has yet to be committed.
///
/// Hand it to [`Authy::committed`] after the commit: tokens that the write revoked are then refused by this process at once and by
/// all others within milliseconds, and sinks get the event without delay. When it is dropped instead, because of a rollback or by
/// mistake, nothing is lost: a committed revocation is found by the next poll, within a second, and the event with it.
#[must_use = "hand it to Authy::committed after the commit, so that what it revoked is refused here at once"]
#[derive(Debug)]
pub struct Uncommitted<T = ()> {
    value: T,
    revocations: Vec<Revocation>,
}

impl<T> Uncommitted<T> {
    /// What was made, such as the id of a new user, for rows of the same transaction that refer to it.
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl Authy {
    /// Puts in force what a transaction of the caller's has committed; what it made. Call it after the commit, never before: what
    /// is rolled back must not be in force.
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
