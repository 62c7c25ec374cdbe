//! The answer to a database that has gone back in time: nothing that was issued before is valid any more.
//!
//! A restore to an earlier time, or a failover to a standby that was behind, forgets revocations: of sessions, epochs and
//! keys. Which of them, nobody knows, so all of them end.

use super::{
    session::{AllSessionsEnded, EVERYONE_TIMEOUT, end_everyone},
    signing_key::SigningKeys,
};
use crate::{
    Result,
    engine::journal::{
        caller::Caller,
        write::{Journal, Written},
    },
};

/// What [`Authy::recover`](crate::Authy::recover) did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The users, sessions and codes.
    pub ended: AllSessionsEnded,
    /// The IDs of the signing keys that were revoked.
    pub revoked_keys: Vec<String>,
}

/// Ends all sessions, and revokes all tokens, codes and signing keys, in one transaction.
pub(in crate::engine) async fn recover(
    journal: &Journal,
    keys: &SigningKeys,
    caller: &Caller,
) -> Result<RecoveryReport> {
    let recovered = journal.write_within(EVERYONE_TIMEOUT, caller, async |tx| {
        let actor = tx.operator()?;
        let (ended, event) = end_everyone(tx, &actor).await?;
        let (revoked_keys, mut events) = keys.revoke_all(tx, &actor).await?;
        events.insert(0, event);
        Ok(Written::with_events(RecoveryReport { ended, revoked_keys }, events))
    });
    let report = recovered.await?;
    keys.reload().await?;
    Ok(report)
}
