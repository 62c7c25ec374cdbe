//! The ownership of email addresses: the first account that confirms an address owns it. Until then, any number of
//! accounts can have the address.

use tokio_postgres::Transaction;

use super::sql;
use crate::{
    ClientInfo, Email, Result, UserId,
    api::event::EventKind,
    engine::{
        domain::{code, epoch},
        journal::{actor::Actor, caller::Caller, event::Event, revocation::target::RevocationTarget},
        storage::{
            connector::db_error,
            row::{optional_level, user_id},
            statement::Params,
        },
    },
};

/// Prefix of the key of an address that an account has lost. No valid address has this prefix.
pub(in crate::engine::domain) const RELEASED_KEY_PREFIX: &str = "released:";

/// The address that such an account shows instead: its domain never exists (RFC 2606), so no mail can be sent there.
const RELEASED_EMAIL: &str = "unconfirmed@authy.invalid";

/// Maximum number of other accounts that lose an address when it is confirmed. It keeps the confirmation fast after
/// thousands of sign-ups with the address. Further accounts keep the address, but can never confirm it and are sent no
/// mail.
const MAX_RELEASED: i64 = 100;

/// Locks all accounts with an address, and a user, in the order of their IDs: concurrent confirmations of one address
/// wait for each other without a deadlock.
pub(super) async fn lock(tx: &Transaction<'_>, user: Option<UserId>, email: &Email) -> Result<()> {
    let user = user.as_ref().map(UserId::as_uuid);
    sql::LOCK_CLAIMS.rows(tx, &[&user, &email.key()]).await.map(drop)
}

/// Checks that the actor may act on all users who have an address and have not confirmed it. Otherwise administrators
/// could end the sessions of more powerful users, by vouching for their address.
pub(super) async fn require_power_over_claimants(tx: &Transaction<'_>, actor: &Actor, email: &Email) -> Result<()> {
    let row = sql::FIND_CLAIMANT_LEVEL.row(tx, &[&email.key()]).await?;
    actor.require_power_over(row.as_ref().and_then(optional_level))
}

/// Removes an address from all accounts that have not confirmed it, except its owner: their sessions and codes end, and
/// each gets an event. Returns the revocations for the event of the confirmation.
pub(super) async fn release(tx: &Transaction<'_>, owner: UserId, email: &Email) -> Result<Vec<RevocationTarget>> {
    let params: Params<'_> = &[owner.as_uuid(), &email.key(), &RELEASED_EMAIL, &RELEASED_KEY_PREFIX, &MAX_RELEASED];
    let released = sql::RELEASE.rows(tx, params).await?;
    // The other accounts must not see the owner's IP address and user agent.
    let anonymous = Actor::by_secret(&Caller::anonymous(ClientInfo::default()));
    let mut targets = Vec::with_capacity(released.len());
    for row in released {
        let user = user_id(&row, "public_id");
        code::revoke(tx, user, None).await?;
        epoch::sql::END_ALL.execute(tx, &[user.as_uuid()]).await.map_err(db_error)?;
        Event::new(EventKind::EmailReleased, &anonymous).about(user).append(tx).await?;
        targets.push(RevocationTarget::User { public_id: user, ver: row.get::<_, i64>("ver").unsigned_abs() });
    }
    Ok(targets)
}
