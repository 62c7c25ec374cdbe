//! Encrypts fallback hashes with the first master key, so that the other master keys can be removed.

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{context, sql};
use crate::{
    Result,
    engine::{
        crypto::master::MasterKeys,
        journal::{
            caller::Caller,
            write::{Journal, Tx, Written},
        },
        storage::{connector::db_error, row::user_id},
    },
};

/// Number of hashes per transaction: each takes microseconds, and those who log in may wait for one.
const BATCH: i64 = 500;

/// Encrypts all fallback hashes with the first master key, in batches: when it is interrupted, the next call continues. Returns
/// their number.
///
/// # Errors
/// [`ErrorKind::BeyondYourLevel`](crate::ErrorKind) unless the caller has full power.
pub(in crate::engine) async fn reseal(journal: &Journal, caller: &Caller, master: &MasterKeys) -> Result<u64> {
    // Hashes of other keys cannot be decrypted, and depend on none of these.
    let older: Vec<Vec<u8>> = master.ids()?.iter().skip(1).map(|id| id.to_vec()).collect();
    if older.is_empty() {
        return Ok(0);
    }
    let (mut resealed, mut last) = (0, Uuid::nil());
    loop {
        let batch = journal.write(caller, async |tx| {
            tx.prove_full_power().await?;
            let done = reseal_batch(tx, master, &older, last).await?;
            Ok(Written::without_event(done))
        });
        let Some((end, count)) = batch.await? else { return Ok(resealed) };
        (last, resealed) = (end, resealed + count);
    }
}

/// Encrypts the hashes of the next users. Returns the last of these, and the number of hashes.
async fn reseal_batch(tx: &Tx<'_>, master: &MasterKeys, older: &[Vec<u8>], last: Uuid) -> Result<Option<(Uuid, u64)>> {
    let rows = sql::LIST_OLDER.rows(tx, &[&older, &last, &BATCH]).await?;
    let (mut users, mut hashes) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in &rows {
        let (user, sealed): (_, Zeroizing<Vec<u8>>) = (user_id(row, "user_id"), Zeroizing::new(row.get("sealed")));
        match master.open(&context(user), &sealed) {
            Ok(hash) => {
                users.push(*user.as_uuid());
                hashes.push(master.seal(&context(user), &hash)?);
            }
            // It must not prevent the others from being encrypted. An export says whose password has to be reset.
            Err(error) => {
                tracing::warn!(%user, %error, "a hash for the first authy cannot be decrypted: it stays unchanged")
            }
        }
    }
    let resealed = sql::RESEAL.execute(tx, &[&users, &hashes]).await.map_err(db_error)?;
    Ok(rows.last().map(|row| (*user_id(row, "user_id").as_uuid(), resealed)))
}
