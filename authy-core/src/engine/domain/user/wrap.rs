//! Argon2id over the imported hashes that are weaker, before their owners log in.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use super::Users;
use crate::{
    Error, ErrorKind, Result,
    engine::{
        crypto::{hasher::HashRequester, password::Passwords},
        domain::credential::sql,
        journal::{
            actor::Actor,
            caller::Caller,
            write::{Journal, Written},
        },
        storage::connector::db_error,
    },
};

/// How far [`Users::wrap_passwords`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrapProgress {
    /// The number of hashes of other programs when it began, except those of argon2.
    pub found: u64,
    /// The number of these that are argon2id over the hash now.
    pub wrapped: u64,
    /// The number of these that stay as they are: they cannot be used as a hash, or changed meanwhile, as by a login.
    pub skipped: u64,
}

/// Hashes that one transaction replaces: some seconds of hashing, which are lost when the program is killed.
pub(in crate::engine::domain) const BATCH: i64 = 200;

/// Time before the next attempt when the queue of the hashing threads is full.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

impl Users {
    /// Replaces each stored hash of another program by argon2id over that hash, so that no weak hash is stored any more,
    /// although nobody has logged in yet. A login with the password still succeeds, and replaces it by a usual hash. Hashes
    /// of argon2 stay as they are, whatever their parameters.
    ///
    /// Each hash takes as long as a login. Calls `progress` after every few seconds of work. What is done stays done when it
    /// ends early: the next call continues. For the operator only. Before this, every server on the database must have a
    /// version that has this function: earlier ones cannot read the result, and refuse the login.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller is the operator; [`ErrorKind::Unavailable`] when the database is not
    /// available.
    pub async fn wrap_passwords(
        &self,
        caller: &Caller,
        mut progress: impl FnMut(WrapProgress) + Send,
    ) -> Result<WrapProgress> {
        // Before the expensive hashes. Each transaction checks it again.
        Actor::operator(caller)?;
        let found = self.db().read_opt(&sql::COUNT_FOREIGN, &[]).await?;
        let found = found.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs());
        let mut done = WrapProgress { found, ..WrapProgress::default() };
        let mut last = Uuid::nil();
        loop {
            let rows = self.db().read(&sql::LIST_FOREIGN, &[&last, &BATCH]).await?;
            let Some(end) = rows.last() else { return Ok(done) };
            last = end.get("user_id");
            let listed = rows.iter().map(|row| (row.get("user_id"), row.get("phc")));
            let passwords = &self.passwords.passwords;
            let wrapped = wrap_batch(&self.journal, passwords, caller, listed.collect()).await?;
            done.wrapped += wrapped;
            done.skipped += u64::try_from(rows.len()).unwrap_or(u64::MAX).saturating_sub(wrapped);
            progress(done);
        }
    }
}

/// Replaces these hashes in one transaction. Returns how many it has replaced.
pub(in crate::engine::domain) async fn wrap_batch(
    journal: &Journal,
    passwords: &Passwords,
    caller: &Caller,
    hashes: Vec<(Uuid, String)>,
) -> Result<u64> {
    // As many as there are threads: others who wait for a hash wait for one of these at most.
    let threads = passwords.statistics().threads;
    let wrap = async |(user, old): (Uuid, String)| {
        let new = wrap(passwords, HashRequester::default(), &old).await?;
        Ok::<_, Error>(new.map(|new| (user, old, new)))
    };
    let wraps: Vec<_> = hashes.into_iter().map(|hash| wrap(hash).boxed()).collect();
    let wrapped: Vec<_> = stream::iter(wraps).buffer_unordered(threads).try_collect().await?;
    let wrapped: Vec<_> = wrapped.into_iter().flatten().collect();
    let users: Vec<Uuid> = wrapped.iter().map(|(user, ..)| *user).collect();
    let old: Vec<&str> = wrapped.iter().map(|(_, old, _)| old.as_str()).collect();
    let new: Vec<&str> = wrapped.iter().map(|(.., new)| new.as_str()).collect();
    journal
        .write(caller, async |tx| {
            tx.operator()?;
            let replaced = sql::WRAP.execute(tx, &[&users, &old, &new]).await.map_err(db_error)?;
            Ok(Written::without_event(replaced))
        })
        .await
}

/// Returns a hash with argon2id over it; `None` when it stays as it is. Waits while others fill the queue.
pub(in crate::engine::domain) async fn wrap(
    passwords: &Passwords,
    requester: HashRequester,
    hash: &str,
) -> Result<Option<String>> {
    loop {
        match passwords.wrap(requester, hash).await {
            Err(error) if error.kind() == ErrorKind::Overloaded => {
                tokio::time::sleep(error.retry_after().unwrap_or(OVERLOAD_PAUSE)).await;
            }
            wrapped => return wrapped,
        }
    }
}
