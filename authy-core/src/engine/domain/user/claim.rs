//! Who has an address: the account that confirms it from its mailbox first. Until then any number of accounts may name it, and
//! none of them keeps it from the others.

use tokio_postgres::Transaction;

use super::sql;
use crate::{
    Email, Result, UserId,
    api::event::EventKind,
    engine::{
        domain::{code, epoch},
        journal::{
            actor::Actor,
            caller::{Caller, ClientInfo},
            event::Event,
            revocation::target::RevocationTarget,
        },
        storage::{connector::db_error, row::user_id, statement::Params},
    },
};

/// The beginning of the key of an address that was taken off an account. No address begins like this.
const RELEASED: &str = "released:";

/// What is shown instead of it: a domain that never exists (RFC 2606), so that no mail goes anywhere.
const RELEASED_EMAIL: &str = "unconfirmed@authy.invalid";

/// Maximum number of other accounts that lose an address when it is confirmed. It keeps the confirmation quick after thousands of
/// sign-ups with that address. Accounts beyond it keep the address, can never confirm it and are sent no mail.
const MAX_RELEASED: i64 = 100;

/// Locks every account with an address, and a user, in the order of their ids: of two concurrent confirmations of one address one
/// waits for the other, and there is no deadlock.
pub(super) async fn lock(tx: &Transaction<'_>, user: UserId, email: &Email) -> Result<()> {
    sql::LOCK_CLAIMS.rows(tx, &[user.as_uuid(), &email.key()]).await.map(drop)
}

/// Takes an address off all accounts that have not confirmed it, except the owner, who has just done so: their sessions and codes
/// end, and each gets an event. Returns what the event of the confirmation has to revoke.
pub(super) async fn release(tx: &Transaction<'_>, owner: UserId, email: &Email) -> Result<Vec<RevocationTarget>> {
    let params: Params<'_> = &[owner.as_uuid(), &email.key(), &RELEASED_EMAIL, &RELEASED, &MAX_RELEASED];
    let released = sql::RELEASE.rows(tx, params).await?;
    // The owner's IP address and user agent are not shown to the others.
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
