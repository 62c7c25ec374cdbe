//! Roles: creation, deletion, grants. Callers cannot act beyond their own level.

use std::sync::Arc;

use serde_json::json;
use tokio_postgres::{Row, Transaction};

use crate::{
    Error, ErrorKind, Invalid, Result, RoleName, UserId,
    api::{
        event::EventKind,
        role::{NewRole, RoleView},
    },
    engine::{
        domain::{
            epoch::{SessionEffect, apply_account_change},
            lookalike,
        },
        journal::{
            caller::Caller,
            event::Event,
            write::{Journal, Tx, Written},
        },
        storage::{
            connector::db_error,
            db::Db,
            row::{level, stored},
            statement::Params,
        },
    },
};

pub(in crate::engine) mod sql;

/// Roles: [`Authy::roles`](crate::Authy::roles).
///
/// ```
/// use authy_core::{Authy, UserId, api::role::NewRole, engine::Caller};
///
/// # async fn roles(authy: &Authy, administrator: &Caller, ada: UserId) -> Result<(), Box<dyn std::error::Error>> {
/// let role = NewRole {
///     name: "auctioneer".parse()?,
///     description: "opens and closes auctions".parse()?,
///     level: 8.try_into()?, // a smaller level is more power
/// };
/// let auctioneer = authy.roles().create(administrator, role).await?.name;
/// authy.roles().grant(administrator, &auctioneer, ada).await?;
/// # Ok(())
/// # }
/// ```
pub struct Roles {
    journal: Arc<Journal>,
}

impl Roles {
    pub(in crate::engine) fn new(journal: Arc<Journal>) -> Self {
        Self { journal }
    }

    pub(super) fn db(&self) -> &Db {
        &self.journal.db
    }

    /// Returns all roles, most powerful first.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn list(&self) -> Result<Vec<RoleView>> {
        Ok(views(&self.db().read(&sql::LIST, &[]).await?))
    }

    /// Returns the role with this name.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn find(&self, name: &RoleName) -> Result<Option<RoleView>> {
        Ok(self.db().read_opt(&sql::FIND, &[&name.key()]).await?.as_ref().map(view))
    }

    /// Creates a role, at most as powerful as the caller. A level belongs to one role only.
    ///
    /// # Errors
    /// [`ErrorKind::RoleExists`] when the name or the level is taken, [`ErrorKind::BeyondYourLevel`].
    pub async fn create(&self, caller: &Caller, role: NewRole) -> Result<RoleView> {
        self.journal.write(caller, async |tx| create(tx, &role).await).await?;
        Ok(role.into())
    }

    /// Creates a role, unless it exists with this name and level: for programs that set up their roles at each start.
    /// Returns the stored role; one that exists keeps its description.
    ///
    /// # Errors
    /// [`ErrorKind::RoleExists`] when the role has another level, or another role has the level;
    /// [`ErrorKind::BeyondYourLevel`].
    pub async fn ensure(&self, caller: &Caller, role: NewRole) -> Result<RoleView> {
        self.journal.write(caller, async |tx| ensure(tx, &role).await).await
    }

    /// Deletes a role that no user has and that does not belong to the installation.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::RoleInUse`], [`ErrorKind::BeyondYourLevel`].
    pub async fn delete(&self, caller: &Caller, name: &RoleName) -> Result<()> {
        self.journal.write(caller, async |tx| delete(tx, name).await).await
    }

    /// Grants a role to a user, and revokes the user's access tokens.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the role or the user, [`ErrorKind::AlreadyAssigned`],
    /// [`ErrorKind::BeyondYourLevel`].
    pub async fn grant(&self, caller: &Caller, name: &RoleName, user: UserId) -> Result<()> {
        self.journal.write(caller, async |tx| grant(tx, name, user).await).await
    }

    /// Revokes a role from a user, and the user's access tokens.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the role, the user or the grant, [`ErrorKind::BeyondYourLevel`],
    /// [`ErrorKind::LastOfItsKind`].
    pub async fn revoke(&self, caller: &Caller, name: &RoleName, user: UserId) -> Result<()> {
        self.journal.write(caller, async |tx| revoke(tx, name, user).await).await
    }
}

pub(in crate::engine) async fn create(tx: &Tx<'_>, role: &NewRole) -> Result<Event> {
    match insert(tx, role).await? {
        Some(event) => Ok(event),
        None => Err(match sql::FIND.row(tx, &[&role.name.key()]).await? {
            Some(_) => Error::new(ErrorKind::RoleExists, "a role with this name exists"),
            None => level_taken(),
        }),
    }
}

pub(in crate::engine) async fn ensure(tx: &Tx<'_>, role: &NewRole) -> Result<Written<RoleView>> {
    if let Some(event) = insert(tx, role).await? {
        return Ok(Written::new(role.clone().into(), event));
    }
    let found = sql::FIND.row(tx, &[&role.name.key()]).await?.as_ref().map(view).ok_or_else(level_taken)?;
    match found.level == role.level {
        true => Ok(Written::unchanged(found)),
        false => Err(Error::new(ErrorKind::RoleExists, "the role exists and has another level")),
    }
}

/// Creates a role, and returns the event; `None` when the name or the level is taken. The transaction can continue then.
async fn insert(tx: &Tx<'_>, role: &NewRole) -> Result<Option<Event>> {
    let actor = tx.prove().await?;
    actor.require_power_over(Some(role.level))?;
    let NewRole { name, description, level } = role;
    let params: Params<'_> = &[&name.as_str(), &name.key(), &description.as_str(), &level.get()];
    let created = sql::CREATE.execute(tx, params).await.map_err(db_error)?;
    let event = || Event::new(EventKind::RoleCreated, &actor).detail(json!({ "role": name, "level": level }));
    Ok((created > 0).then(event))
}

pub(in crate::engine) async fn delete(tx: &Tx<'_>, name: &RoleName) -> Result<Event> {
    let actor = tx.prove().await?;
    actor.require_administrator()?;
    let role = sql::LOCK.row(tx, &[&name.key()]).await?.ok_or_else(no_such_role)?;
    let role_id: i32 = role.get("role_id");
    actor.require_power_over(Some(level(&role)))?;
    if role.get("seeded") {
        return Err(Error::new(ErrorKind::RoleInUse, "the role belongs to the installation and cannot be deleted"));
    }
    if sql::IS_HELD.row(tx, &[&role_id]).await?.is_some() {
        return Err(Error::new(ErrorKind::RoleInUse, "the role is assigned to a user: revoke it first"));
    }
    sql::DELETE.execute(tx, &[&role_id]).await.map_err(db_error)?;
    Ok(Event::new(EventKind::RoleDeleted, &actor).detail(json!({ "role": name })))
}

/// Always locks the users first, then the role, so that two transactions cannot deadlock.
pub(in crate::engine) async fn grant(tx: &Tx<'_>, name: &RoleName, user: UserId) -> Result<Event> {
    let (actor, subject) = tx.prove_on(user).await?;
    let subject = subject.live()?;
    actor.require_administrator()?;
    let role = sql::SHARE.row(tx, &[&name.key()]).await?.ok_or_else(no_such_role)?;
    actor.require_power_over(Some(level(&role)))?;
    actor.require_power_over(subject.level)?;
    let granted = sql::GRANT.execute(tx, &[user.as_uuid(), &role.get::<_, i32>("role_id")]).await.map_err(db_error)?;
    if granted == 0 {
        return Err(Error::new(ErrorKind::AlreadyAssigned, "the user has the role already"));
    }
    lookalike::protect(tx, user, level(&role)).await?;
    let event = apply_account_change(tx, &actor, user, EventKind::RoleGranted, SessionEffect::Kept).await?;
    Ok(event.detail(json!({ "role": name })))
}

pub(in crate::engine) async fn revoke(tx: &Tx<'_>, name: &RoleName, user: UserId) -> Result<Event> {
    let (actor, subject) = tx.prove_on(user).await?;
    let subject = subject.live()?;
    actor.require_administrator()?;
    let role = sql::SHARE.row(tx, &[&name.key()]).await?.ok_or_else(no_such_role)?;
    let role_id: i32 = role.get("role_id");
    actor.require_power_over(Some(level(&role)))?;
    actor.require_power_over(subject.level)?;
    keep_last_of_its_kind(tx, user, Some(role_id)).await?;
    let revoked = sql::REVOKE.execute(tx, &[user.as_uuid(), &role_id]).await.map_err(db_error)?;
    if revoked == 0 {
        return Err(Error::new(ErrorKind::NotFound, "the user does not have the role"));
    }
    let event = apply_account_change(tx, &actor, user, EventKind::RoleRevoked, SessionEffect::Kept).await?;
    Ok(event.detail(json!({ "role": name })))
}

/// Returns an error when the user is the last one with the most powerful role and would lose it: by losing `role` or,
/// when `None`, by being deleted. Otherwise locks the role until the transaction ends.
pub(in crate::engine) async fn keep_last_of_its_kind(
    tx: &Transaction<'_>,
    user: UserId,
    role: Option<i32>,
) -> Result<()> {
    let Some(top) = sql::FIND_TOP.row(tx, &[]).await? else { return Ok(()) };
    let top: i32 = top.get("role_id");
    if role.is_some_and(|role| role != top) || sql::HAS.row(tx, &[&top, user.as_uuid()]).await?.is_none() {
        return Ok(());
    }
    sql::HOLD.row(tx, &[&top]).await?;
    match sql::HAS_ANOTHER.row(tx, &[&top, user.as_uuid()]).await? {
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorKind::LastOfItsKind, "no other user has the most powerful role")),
    }
}

/// Returns the roles in the rows.
pub(in crate::engine) fn views(rows: &[Row]) -> Vec<RoleView> {
    rows.iter().map(view).collect()
}

/// Returns the role in a row.
pub(in crate::engine) fn view(row: &Row) -> RoleView {
    RoleView { name: stored(row, "name"), description: stored(row, "description"), level: level(row) }
}

impl From<NewRole> for RoleView {
    fn from(NewRole { name, description, level }: NewRole) -> Self {
        Self { name, description, level }
    }
}

fn level_taken() -> Error {
    Error::new(ErrorKind::RoleExists, "another role has this level: a level belongs to one role only")
}

fn no_such_role() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such role")
}

/// Returns the error for a field that names a role which does not exist.
pub(in crate::engine) fn unknown() -> Error {
    Error::new(ErrorKind::InvalidInput, "there is no such role")
        .with_field(Invalid::new("unknown_role", "is not the name of a role").of("role"))
}
