//! Argon2id over the hashes of an import: over new ones before they are stored, and over those that an earlier import has
//! stored as they were.

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use super::{candidate::Candidate, sql};
use crate::{
    Error, Result, Secret,
    engine::{
        crypto::{hasher::HashRequester, password::Passwords},
        domain::user,
        journal::{caller::Caller, write::Journal},
    },
};

/// Number of hashes that are wrapped at a time: enough for the hashing threads of any machine, and few of the places in their
/// queue.
const WRAPS_AT_A_TIME: usize = 16;

/// Wraps the hashes of these candidates, outside of a transaction, because it takes long.
pub(super) async fn wrap_new(
    passwords: &Passwords,
    requester: HashRequester,
    candidates: &mut [Candidate],
    is_new: impl Fn(&Candidate) -> bool,
) -> Result<()> {
    let new = candidates.iter().enumerate().filter(|(_, candidate)| is_new(candidate));
    let hashes = new.filter_map(|(place, candidate)| Some((place, candidate.phc.clone()?)));
    let wrap = async |(place, phc): (usize, Secret)| {
        let wrapped = user::wrap::wrap(passwords, requester, phc.expose()).await?;
        Ok::<_, Error>((place, wrapped))
    };
    let wraps: Vec<_> = hashes.map(|hash| wrap(hash).boxed()).collect();
    let wrapped: Vec<_> = stream::iter(wraps).buffer_unordered(WRAPS_AT_A_TIME).try_collect().await?;
    for (place, wrapped) in wrapped {
        if let (Some(candidate), Some(wrapped)) = (candidates.get_mut(place), wrapped) {
            candidate.phc = Some(Secret::new(wrapped));
        }
    }
    Ok(())
}

/// Wraps the hashes that are stored for users of a source and are not wrapped yet. Returns their number. Calls `on_progress` with
/// it after every few seconds of work, and with the number of hashes when it began.
pub(super) async fn wrap_stored(
    journal: &Journal,
    passwords: &Passwords,
    caller: &Caller,
    source: &str,
    on_progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<u64> {
    let found = journal.db.read_one(&sql::COUNT_FOREIGN, &[&source]).await?.get::<_, i64>("found").unsigned_abs();
    let (mut wrapped, mut last) = (0, Uuid::nil());
    loop {
        let rows = journal.db.read(&sql::LIST_FOREIGN, &[&source, &last, &user::wrap::BATCH]).await?;
        let Some(end) = rows.last() else { return Ok(wrapped) };
        last = end.get("user_id");
        let listed = rows.iter().map(|row| (row.get("user_id"), row.get("phc")));
        wrapped += user::wrap::wrap_batch(journal, passwords, caller, listed.collect()).await?;
        on_progress(wrapped, found);
    }
}
