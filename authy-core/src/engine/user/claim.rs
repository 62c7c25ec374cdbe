//! Who has an address: the account that confirms it from its mailbox first. Until then any number of accounts may name it, and
//! none of them keeps it from the others.

use tokio_postgres::Transaction;

use super::{id, sql};
use crate::{
    Email, Result, UserId,
    api::event::EventKind,
    engine::{
        Caller, Origin,
        actor::Actor,
        code,
        db::{Params, db_error},
        event::Event,
        feed::Void,
        session,
    },
};

/// How the key begins of an address that was taken off an account. No address begins so.
const RELEASED: &str = "released:";

/// What is shown instead of it: a domain that never exists (RFC 2606), so that no mail goes anywhere.
const RELEASED_EMAIL: &str = "unconfirmed@authy.invalid";

/// How many other accounts lose an address when somebody confirms it. The bound keeps the confirmation quick after thousands of
/// sign-ups with that address. Accounts beyond it keep the address, can never confirm it and are sent no mail.
const AT_ONCE: i64 = 100;

/// Locks everybody who names an address, and a user, in the order of their ids: of two who confirm one address at once, one
/// waits for the other, and neither for ever.
pub(super) async fn lock(tx: &Transaction<'_>, user: UserId, email: &Email) -> Result<()> {
    sql::LOCK_CLAIMS.rows(tx, &[user.as_uuid(), &email.key()]).await.map(drop)
}

/// Takes an address off all accounts that name it and have not confirmed it, except the one that has just done so: their
/// sessions and codes end, and an event says so of each. What becomes void is for the event of the confirmation to tell.
pub(super) async fn release(tx: &Transaction<'_>, owner: UserId, email: &Email) -> Result<Vec<Void>> {
    let params: Params<'_> = &[owner.as_uuid(), &email.key(), &RELEASED_EMAIL, &RELEASED, &AT_ONCE];
    let released = sql::RELEASE.rows(tx, params).await?;
    // From where the owner confirmed is no business of those who wanted the address.
    let caller = Caller::nobody(Origin::default());
    let nobody = Actor::by_secret(&caller);
    let mut void = Vec::with_capacity(released.len());
    for row in released {
        let user = id(&row, "public_id");
        code::void(tx, user, None).await?;
        session::sql::END_ALL.execute(tx, &[user.as_uuid()]).await.map_err(db_error)?;
        Event::new(EventKind::EmailReleased, &nobody).about(user).append(tx).await?;
        void.push(Void::User { public_id: user, ver: row.get::<_, i64>("ver").unsigned_abs() });
    }
    Ok(void)
}
