//! Deleting a user, bringing one back, and erasing one for good.

use std::time::Duration;

use super::*;
use crate::engine::code;

impl Authy {
    /// Deletes a user, who may be the caller: the row stays, the name stays taken, and the email if it was confirmed; every token
    /// is void.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`], [`ErrorKind::BeyondYourLevel`],
    /// [`ErrorKind::LastOfItsKind`].
    pub async fn delete_user(&self, caller: &Caller, user: UserId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = delete(write.tx(), caller, user).await?;
        self.commit(write, event).await
    }

    /// [`delete_user`](Self::delete_user) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn delete_user_in(&self, tx: &Transaction<'_>, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        join(tx, delete(tx, caller, user)).await
    }

    /// Brings a deleted user back, with name, address, password and roles.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotDeleted`], [`ErrorKind::AlreadyDeleted`] when the user was erased for good,
    /// [`ErrorKind::BeyondYourLevel`].
    pub async fn restore_user(&self, caller: &Caller, user: UserId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = restore(write.tx(), caller, user).await?;
        self.commit(write, event).await
    }

    /// [`restore_user`](Self::restore_user) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn restore_user_in(&self, tx: &Transaction<'_>, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        join(tx, restore(tx, caller, user)).await
    }

    /// Erases a user, deleted or not: nothing about the person is left. The name stays taken as a keyed hash, and so does the
    /// address if it was confirmed. Only for superadmins and the operator.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`], [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`] when the user was erased before,
    /// [`ErrorKind::LastOfItsKind`].
    pub async fn erase_user(&self, caller: &Caller, user: UserId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        // The trail of a long life takes a while.
        write.within(Duration::from_secs(60));
        let event = self.erase(write.tx(), caller, user).await?;
        self.commit(write, event).await
    }

    /// [`erase_user`](Self::erase_user) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn erase_user_in(&self, tx: &Transaction<'_>, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        join(tx, self.erase(tx, caller, user)).await
    }

    async fn erase<'a>(&self, tx: &Transaction<'_>, caller: &'a Caller, user: UserId) -> Result<Event<'a>> {
        let (actor, subject) = Actor::prove_on(tx, caller, user).await?;
        actor.require_full_power()?;
        if subject.is_erased {
            return Err(Error::new(ErrorKind::AlreadyDeleted, "the user was erased before"));
        }
        role::keep_last_of_its_kind(tx, user, None).await?;
        let event = door::pass(tx, &actor, user, EventKind::UserErased, Sessions::Ended).await?;
        let row = sql::FIND_KEYS.row(tx, &[user.as_uuid()]).await?.ok_or_else(no_such_user)?;
        let username_key = self.erased_key(row.get(0));
        let email_key = match row.get("validated") {
            true => self.erased_key(row.get(1)),
            // What was never confirmed is nobody's to keep.
            false => format!("{ERASED}{}", user.as_uuid()),
        };
        code::forget_spent(tx, user).await?;
        // What stands in for the name is a name, because wherever a user is shown there is one.
        let username = format!("erased-{}", user.as_uuid().simple());
        let params: Params<'_> = &[user.as_uuid(), &username, &username_key, &"erased@authy.invalid", &email_key];
        sql::ERASE.execute(tx, params).await.map_err(db_error)?;
        for statement in [
            &sql::ERASE_PASSWORD,
            &sql::ERASE_ROLES,
            &sql::ERASE_SESSIONS,
            &sql::ERASE_ORIGINS,
            &sql::ERASE_DELIVERIES,
            &sql::ERASE_LOOKALIKES,
        ] {
            statement.execute(tx, &[user.as_uuid()]).await.map_err(db_error)?;
        }
        Ok(event)
    }

    /// What keeps a name or an address taken once it was erased: a keyed hash, which is no name that anybody could have.
    fn erased_key(&self, key: &str) -> String {
        format!("{ERASED}{}", self.erasure_mac().sign(key))
    }

    /// Every form that a name or an address may be taken in.
    pub(in crate::engine) fn keys_of(&self, key: &str) -> Vec<String> {
        let erased = self.erasure_mac().sign_with_each(key).into_iter().map(|mac| format!("{ERASED}{mac}"));
        [key.to_owned()].into_iter().chain(erased).collect()
    }
}

/// No name and no address begins so.
const ERASED: &str = "erased:";

async fn delete<'a>(tx: &Transaction<'_>, caller: &'a Caller, user: UserId) -> Result<Event<'a>> {
    let (actor, subject) = Actor::prove_on(tx, caller, user).await?;
    actor.require_own_or_power_over(&subject.live()?)?;
    role::keep_last_of_its_kind(tx, user, None).await?;
    sql::DELETE.execute(tx, &[user.as_uuid()]).await.map_err(db_error)?;
    door::pass(tx, &actor, user, EventKind::UserDeleted, Sessions::Ended).await
}

async fn restore<'a>(tx: &Transaction<'_>, caller: &'a Caller, user: UserId) -> Result<Event<'a>> {
    let (actor, subject) = Actor::prove_on(tx, caller, user).await?;
    if subject.is_erased {
        return Err(Error::new(ErrorKind::AlreadyDeleted, "the user was erased: there is nobody to bring back"));
    }
    if !subject.is_deleted {
        return Err(Error::new(ErrorKind::NotDeleted, "the user was not deleted"));
    }
    actor.require_power_over(subject.level)?;
    sql::RESTORE.execute(tx, &[user.as_uuid()]).await.map_err(db_error)?;
    door::pass(tx, &actor, user, EventKind::UserRestored, Sessions::Ended).await
}
