//! Users: sign-up, creation by others, changes, deletion. The row of a deleted user remains, so that the name stays taken.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    Result, RoleName, UserId, Username,
    api::user::{Details, OwnView, UserRoles, UserView},
    engine::{
        config::Config,
        domain::{code::Codes, credential::PasswordVerifier, erased_name::ErasedNames, lookalike::ReservedNames, role},
        journal::write::Journal,
        storage::{
            db::Db,
            reads_by_id::ReadsById,
            row::{optional_level, stored, user_id},
        },
    },
    name::Stored as _,
    time::to_second,
};

pub(in crate::engine) mod change;
mod claim;
pub(in crate::engine) mod create;
pub(in crate::engine) mod deletion;
pub(in crate::engine) mod email_verification;
pub(in crate::engine) mod list;
pub(in crate::engine) mod password_reset;
pub(in crate::engine) mod register;
pub(in crate::engine) mod sql;
mod unlock;
pub(in crate::engine) mod wrap;

pub(in crate::engine::domain) use claim::RELEASED_KEY_PREFIX;

/// Users and their accounts: [`Authy::users`](crate::Authy::users).
///
/// ```
/// use authy_core::{Authy, Result, api::{account::AccountChange, user::NewUser}, engine::Caller};
///
/// # async fn users(authy: &Authy, anonymous: &Caller, user: &Caller) -> Result<()> {
/// let ada = NewUser::new("ada", "ada@example.org", "difference-engine-no-2")?;
/// let id = authy.users().register(anonymous, ada).await?;
///
/// let change = AccountChange::password(Some("difference-engine-no-2".into()), "analytical-engine-no-1")?;
/// authy.users().change(user, id, change).await?;
/// authy.users().delete(user, id).await?;
/// assert!(authy.users().find(id).await?.is_some_and(|user| user.deleted));
/// # Ok(())
/// # }
/// ```
pub struct Users {
    journal: Arc<Journal>,
    passwords: PasswordVerifier,
    codes: Codes,
    erased: ErasedNames,
    reserved: ReservedNames,
    admin_sets_passwords: bool,
    invitation_ttl: Duration,
    own: Arc<ReadsById<OwnView>>,
}

impl Users {
    pub(in crate::engine) fn new(
        journal: Arc<Journal>,
        config: &Config,
        passwords: PasswordVerifier,
        codes: Codes,
        erased: ErasedNames,
    ) -> Self {
        let reserved = ReservedNames::new(&config.reserved_usernames);
        let (admin_sets_passwords, invitation_ttl) = (config.admin_sets_passwords, config.invitation_ttl);
        let own = ReadsById::new(journal.db.clone(), &sql::LIST_OWN, own_view);
        Self { journal, passwords, codes, erased, reserved, admin_sets_passwords, invitation_ttl, own }
    }

    pub(super) fn db(&self) -> &Arc<Db> {
        &self.journal.db
    }

    /// Returns one user, deleted or not.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn find(&self, user: UserId) -> Result<Option<UserView>> {
        find(self.db(), user).await
    }

    /// Returns what a user is shown of the own account, deleted or not. Costs the database a fraction of [`find`](Self::find).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn find_own(&self, user: UserId) -> Result<Option<OwnView>> {
        self.own.find(*user.as_uuid()).await
    }

    /// Returns the user with a username, deleted or not. An erased user has lost the name.
    ///
    /// Take the name as it was typed ([`Username::existing`]): parsing it as a new name changes the spelling, and the
    /// exact spelling decides between accounts of an earlier system whose names differ only in case or width.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn find_named(&self, name: &Username) -> Result<Option<UserView>> {
        Ok(self.db().read_opt(&sql::FIND_NAMED, &[&name.as_str(), &name.key()]).await?.as_ref().map(view))
    }

    /// Returns the username of a user who is not deleted.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn find_username(&self, user: UserId) -> Result<Option<Username>> {
        let row = self.db().read_opt(&sql::FIND_USERNAME, &[user.as_uuid()]).await?;
        Ok(row.map(|row| stored(&row, "username")))
    }

    /// Returns the usernames of several users, deleted or not. An erased user has none.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn find_usernames(&self, users: &[UserId]) -> Result<HashMap<UserId, Username>> {
        let ids: Vec<_> = users.iter().map(|user| *user.as_uuid()).collect();
        let rows = self.db().read(&sql::LIST_USERNAMES, &[&ids]).await?;
        Ok(rows.iter().map(|row| (user_id(row, "public_id"), stored(row, "username"))).collect())
    }

    /// Returns the ID of the user with a username, unless the user is deleted. Take the name as it was typed, as for
    /// [`find_named`](Self::find_named).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn find_id(&self, name: &Username) -> Result<Option<UserId>> {
        let row = self.db().read_opt(&sql::FIND_ID, &[&name.as_str(), &name.key()]).await?;
        Ok(row.map(|row| user_id(&row, "public_id")))
    }

    /// Returns the username and the roles, most powerful first, of a user, deleted or not.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn find_roles(&self, user: UserId) -> Result<Option<UserRoles>> {
        find_roles(self.db(), user).await
    }
}

/// Finds one user, deleted or not.
pub(in crate::engine) async fn find(db: &Db, user: UserId) -> Result<Option<UserView>> {
    Ok(db.read_opt(&sql::FIND, &[user.as_uuid()]).await?.as_ref().map(view))
}

/// Finds the username and the roles of a user, deleted or not.
pub(in crate::engine) async fn find_roles(db: &Db, user: UserId) -> Result<Option<UserRoles>> {
    let Some(found) = find(db, user).await? else { return Ok(None) };
    let roles = role::views(&db.read(&role::sql::LIST_OF_USER, &[user.as_uuid()]).await?);
    Ok(Some(UserRoles { username: found.username, public_id: user, roles }))
}

fn view(row: &Row) -> UserView {
    let time = |column| row.get::<_, Option<DateTime<Utc>>>(column).map(to_second);
    let delete_date = time("deleted_at");
    UserView {
        public_id: user_id(row, "public_id"),
        username: stored(row, "username"),
        email: stored(row, "email"),
        roles: row.get::<_, Vec<String>>("roles").into_iter().map(RoleName::stored).collect(),
        level: optional_level(row),
        created: to_second(row.get("created")),
        last_login: time("last_login"),
        validated: time("validated_at").is_some(),
        deleted: delete_date.is_some(),
        delete_date,
        details: row.get::<_, Option<&str>>("details").and_then(|state| match state {
            "waiting" => Some(Details::Pending),
            "delivered" => Some(Details::Created),
            "given_up" => Some(Details::Failed),
            _ => None,
        }),
    }
}

fn own_view(row: &Row) -> (Uuid, OwnView) {
    let public_id = user_id(row, "public_id");
    let view = OwnView {
        public_id,
        username: stored(row, "username"),
        email: stored(row, "email"),
        created: to_second(row.get("created")),
        last_login: row.get::<_, Option<DateTime<Utc>>>("last_login").map(to_second),
    };
    (*public_id.as_uuid(), view)
}
