//! Deletes, restores and erases users.

use std::time::Duration;

use super::{Users, sql};
use crate::{
    Error, ErrorKind, Result, UserId,
    api::{event::EventKind, user::erased_username},
    engine::{
        domain::{
            alias, code,
            epoch::{SessionEffect, apply_account_change},
            erased_name::ErasedNames,
            role,
        },
        journal::{actor::no_such_user, caller::Caller, event::Event, write::Tx},
        storage::{connector::db_error, statement::Params},
    },
};

/// Maximum time to erase: updating a long audit trail takes a while.
const ERASE_TIMEOUT: Duration = Duration::from_secs(60);

impl Users {
    /// Deletes a user, who may be the caller. The row remains. The name stays taken, and so does the email address if
    /// it was confirmed. Revokes all tokens.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`], [`ErrorKind::BeyondYourLevel`],
    /// [`ErrorKind::LastOfItsKind`].
    pub async fn delete(&self, caller: &Caller, user: UserId) -> Result<()> {
        self.journal.write(caller, async |tx| delete(tx, user).await).await
    }

    /// Restores a deleted user, with name, email address, password and roles.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotDeleted`], [`ErrorKind::AlreadyDeleted`] when the user was erased,
    /// [`ErrorKind::BeyondYourLevel`].
    pub async fn restore(&self, caller: &Caller, user: UserId) -> Result<()> {
        self.journal.write(caller, async |tx| restore(tx, user).await).await
    }

    /// Erases the personal data of a user, deleted or not. The name stays taken as a keyed hash, and so does the
    /// address if it was confirmed. Only for superadmins and the operator.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`], [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`] when the user is already
    /// erased, [`ErrorKind::LastOfItsKind`].
    pub async fn erase(&self, caller: &Caller, user: UserId) -> Result<()> {
        self.journal.write_within(ERASE_TIMEOUT, caller, async |tx| erase(tx, self, user).await).await
    }
}

pub(in crate::engine) async fn delete(tx: &Tx<'_>, user: UserId) -> Result<Event> {
    let (actor, subject) = tx.prove_on(user).await?;
    actor.require_own_or_power_over(&subject.live()?)?;
    role::keep_last_of_its_kind(tx, user, None).await?;
    sql::DELETE.execute(tx, &[user.as_uuid()]).await.map_err(db_error)?;
    apply_account_change(tx, &actor, user, EventKind::UserDeleted, SessionEffect::Ended).await
}

pub(in crate::engine) async fn restore(tx: &Tx<'_>, user: UserId) -> Result<Event> {
    let (actor, subject) = tx.prove_on(user).await?;
    if subject.is_erased {
        return Err(Error::new(ErrorKind::AlreadyDeleted, "the user was erased and cannot be restored"));
    }
    if !subject.is_deleted {
        return Err(Error::new(ErrorKind::NotDeleted, "the user was not deleted"));
    }
    actor.require_power_over(subject.level)?;
    sql::RESTORE.execute(tx, &[user.as_uuid()]).await.map_err(db_error)?;
    apply_account_change(tx, &actor, user, EventKind::UserRestored, SessionEffect::Ended).await
}

pub(in crate::engine) async fn erase(tx: &Tx<'_>, users: &Users, user: UserId) -> Result<Event> {
    let (actor, subject) = tx.prove_on(user).await?;
    actor.require_full_power()?;
    // A role from an earlier system can be more powerful than any that is made here.
    actor.require_power_over(subject.level)?;
    if subject.is_erased {
        return Err(Error::new(ErrorKind::AlreadyDeleted, "the user was erased before"));
    }
    role::keep_last_of_its_kind(tx, user, None).await?;
    let event = apply_account_change(tx, &actor, user, EventKind::UserErased, SessionEffect::Ended).await?;
    let row = sql::FIND_KEYS.row(tx, &[user.as_uuid()]).await?.ok_or_else(no_such_user)?;
    let username_key = users.erased.hash(row.get("username_key"));
    let email_key = match row.get("validated") {
        true => users.erased.hash(row.get("email_key")),
        false => ErasedNames::unconfirmed(user),
    };
    code::forget_spent(tx, user).await?;
    users.passwords.limiter.forget_all_guesses(tx, user).await?;
    alias::erase(tx, &users.erased, user).await?;
    hide_origins(tx, &users.erased, user).await?;
    // The replacement of the name is a valid name, because every view of a user contains one.
    let username = erased_username(user);
    let params: Params<'_> = &[user.as_uuid(), &username, &username_key, &"erased@authy.invalid", &email_key];
    sql::ERASE.execute(tx, params).await.map_err(db_error)?;
    for statement in [
        &sql::ERASE_PASSWORD,
        &sql::ERASE_ROLES,
        &sql::ERASE_SESSIONS,
        &sql::ERASE_CLIENT_INFO,
        &sql::ERASE_DELIVERIES,
        &sql::ERASE_LOOKALIKES,
        &sql::ERASE_ORIGIN,
        &sql::ERASE_INTENT,
    ] {
        statement.execute(tx, &[user.as_uuid()]).await.map_err(db_error)?;
    }
    Ok(event)
}

/// Replaces the digests of the name of a user who is erased, by which imports know the users of a source without IDs: with a digest,
/// everybody who has the database can try names. Imports look for the replacement, too.
async fn hide_origins(tx: &Tx<'_>, erased: &ErasedNames, user: UserId) -> Result<()> {
    for row in sql::LIST_NAMED_ORIGINS.rows(tx, &[user.as_uuid()]).await? {
        let (source, id): (&str, &str) = (row.get("source"), row.get("source_id"));
        sql::RENAME_ORIGIN.execute(tx, &[&source, &id, &erased.hash(id)]).await.map_err(db_error)?;
    }
    Ok(())
}
