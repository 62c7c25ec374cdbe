//! Argon2id over the hashes of an import: over new ones before they are stored, and over those that an earlier import has
//! stored as they were.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep;
use uuid::Uuid;

use super::{candidate::Candidate, sql};
use crate::{
    ErrorKind, Result, Secret,
    engine::{
        crypto::{hasher::HashRequester, password::Passwords},
        domain::user,
        journal::{caller::Caller, write::Journal},
    },
};

/// Number of hashes that are wrapped at a time: enough for the hashing threads of any machine, and few of the places in their
/// queue.
const WRAPS_AT_A_TIME: usize = 16;

/// Hashes that one transaction replaces: some seconds of hashing, which are lost when the program is killed.
const BATCH: i64 = 200;

/// Wraps the hashes of these candidates, outside of a transaction, because it takes long.
pub(super) async fn wrap_new(
    passwords: &Passwords,
    requester: HashRequester,
    candidates: &mut [Candidate],
    is_new: impl Fn(&Candidate) -> bool,
) -> Result<()> {
    let new = candidates.iter().enumerate().filter(|(_, candidate)| is_new(candidate));
    let hashes = new.filter_map(|(place, candidate)| Some((place, candidate.phc.clone()?)));
    let wraps: Vec<_> = hashes.map(|(place, phc)| wrap(passwords, requester, place, phc).boxed()).collect();
    let wrapped: Vec<_> = stream::iter(wraps).buffer_unordered(WRAPS_AT_A_TIME).try_collect().await?;
    for (place, wrapped) in wrapped {
        if let (Some(candidate), Some(wrapped)) = (candidates.get_mut(place), wrapped) {
            candidate.phc = Some(Secret::new(wrapped));
        }
    }
    Ok(())
}

/// Wraps the hash of one candidate. `None` when it stays as it is.
async fn wrap(
    passwords: &Passwords,
    requester: HashRequester,
    place: usize,
    phc: Secret,
) -> Result<(usize, Option<String>)> {
    loop {
        match passwords.wrap(requester, phc.expose()).await {
            // Logins go first.
            Err(error) if error.kind() == ErrorKind::Overloaded => sleep(Duration::from_millis(100)).await,
            done => return Ok((place, done?)),
        }
    }
}

/// Wraps the hashes that are stored for users of a source and are not wrapped yet.
pub(super) async fn wrap_stored(journal: &Journal, passwords: &Passwords, caller: &Caller, source: &str) -> Result<()> {
    let mut last = Uuid::nil();
    loop {
        let rows = journal.db.read(&sql::LIST_FOREIGN, &[&source, &last, &BATCH]).await?;
        let Some(end) = rows.last() else { return Ok(()) };
        last = end.get("user_id");
        let listed = rows.iter().map(|row| (row.get("user_id"), row.get("phc")));
        user::wrap::wrap_batch(journal, passwords, caller, listed.collect()).await?;
    }
}
