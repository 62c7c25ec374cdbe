//! Roles: made, granted, taken away. Nobody reaches beyond their own level.

use serde_json::json;
use tokio_postgres::{Row, Transaction, error::SqlState};

use super::{
    Authy, Caller, Page,
    actor::Actor,
    db::db_error,
    event::{Event, Write},
    uncommitted::{Uncommitted, join},
    user::{self, Sessions},
};
use crate::{
    Error, ErrorKind, Level, Result, RoleName, UserId,
    api::{
        event::EventKind,
        page::PageNumber,
        role::{NewRole, RoleUser, RoleView},
    },
};

pub(super) mod sql;

/// How many users a page of a role's users has.
const ROLE_PAGE: u32 = 20;

impl Authy {
    /// All roles, most powerful first.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn list_roles(&self) -> Result<Vec<RoleView>> {
        self.db().read(&sql::LIST, &[]).await?.iter().map(view).collect()
    }

    /// The role of that name.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn find_role(&self, name: &RoleName) -> Result<Option<RoleView>> {
        self.db().read_opt(&sql::FIND, &[&name.key()]).await?.as_ref().map(view).transpose()
    }

    /// A page of 20 users who have the role, in the order of their names; `None` when there is no such role.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn list_role_users(
        &self,
        name: &RoleName,
        page: PageNumber,
    ) -> Result<Option<(RoleView, Page<RoleUser>)>> {
        let Some(role) = self.find_role(name).await? else { return Ok(None) };
        let key = name.key();
        let (limit, offset) = Page::<()>::window(page.get(), ROLE_PAGE);
        let users = self.db().list(&sql::LIST_USERS, &[&key, &limit, &offset]).await?;
        let total: i64 = self.db().count(&sql::COUNT_USERS, &[&key]).await?.get(0);
        let items = users.iter().map(|row| {
            Ok(RoleUser { name: user::checked(row.get("username"))?, public_id: user::id(row, "public_id") })
        });
        Ok(Some((role, Page { items: items.collect::<Result<_>>()?, total: total.unsigned_abs() })))
    }

    /// Makes a role, at most as powerful as the caller.
    ///
    /// # Errors
    /// [`ErrorKind::RoleExists`] when the name or the level is taken, [`ErrorKind::BeyondYourLevel`].
    pub async fn create_role(&self, caller: &Caller, role: NewRole) -> Result<RoleView> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = create(write.tx(), caller, &role).await?;
        self.commit(write, event).await?;
        Ok(RoleView { name: role.name, description: role.description, level: role.level })
    }

    /// [`create_role`](Self::create_role) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn create_role_in(&self, tx: &Transaction<'_>, caller: &Caller, role: &NewRole) -> Result<Uncommitted> {
        join(tx, create(tx, caller, role)).await
    }

    /// Deletes a role that nobody has and that did not come with the installation.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::RoleInUse`], [`ErrorKind::BeyondYourLevel`].
    pub async fn delete_role(&self, caller: &Caller, name: &RoleName) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = delete(write.tx(), caller, name).await?;
        self.commit(write, event).await
    }

    /// [`delete_role`](Self::delete_role) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn delete_role_in(&self, tx: &Transaction<'_>, caller: &Caller, name: &RoleName) -> Result<Uncommitted> {
        join(tx, delete(tx, caller, name)).await
    }

    /// Grants a role to a user, whose tokens are void from then on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] of role or user, [`ErrorKind::AlreadyAssigned`], [`ErrorKind::BeyondYourLevel`].
    pub async fn grant_role(&self, caller: &Caller, name: &RoleName, user: UserId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = grant(write.tx(), caller, name, user).await?;
        self.commit(write, event).await
    }

    /// [`grant_role`](Self::grant_role) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn grant_role_in(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        name: &RoleName,
        user: UserId,
    ) -> Result<Uncommitted> {
        join(tx, grant(tx, caller, name, user)).await
    }

    /// Takes a role away from a user, whose tokens are void from then on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] of role, user or grant, [`ErrorKind::BeyondYourLevel`], [`ErrorKind::LastOfItsKind`].
    pub async fn revoke_role(&self, caller: &Caller, name: &RoleName, user: UserId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = revoke(write.tx(), caller, name, user).await?;
        self.commit(write, event).await
    }

    /// [`revoke_role`](Self::revoke_role) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn revoke_role_in(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        name: &RoleName,
        user: UserId,
    ) -> Result<Uncommitted> {
        join(tx, revoke(tx, caller, name, user)).await
    }
}

async fn create<'a>(tx: &Transaction<'_>, caller: &'a Caller, role: &NewRole) -> Result<Event<'a>> {
    let actor = Actor::prove(tx, caller).await?;
    actor.require_power_over(Some(role.level))?;
    let level = role.level.get().cast_signed();
    let created =
        sql::CREATE.execute(tx, &[&role.name.as_str(), &role.name.key(), &role.description.as_str(), &level]).await;
    created.map_err(|cause| match cause.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => {
            Error::with_source(ErrorKind::RoleExists, "a role with this name or this level exists", cause)
        }
        _ => db_error(cause),
    })?;
    Ok(Event::new(EventKind::RoleCreated, &actor).detail(json!({ "role": role.name, "level": role.level })))
}

async fn delete<'a>(tx: &Transaction<'_>, caller: &'a Caller, name: &RoleName) -> Result<Event<'a>> {
    let actor = Actor::prove(tx, caller).await?;
    actor.require_administrator()?;
    let role = sql::LOCK.row(tx, &[&name.key()]).await?.ok_or_else(no_such_role)?;
    let role_id: i32 = role.get("role_id");
    actor.require_power_over(Some(level(&role)))?;
    if role.get("seeded") {
        return Err(Error::new(ErrorKind::RoleInUse, "the role came with the installation and stays"));
    }
    if sql::IS_HELD.row(tx, &[&role_id]).await?.is_some() {
        return Err(Error::new(ErrorKind::RoleInUse, "somebody has the role: take it away first"));
    }
    sql::DELETE.execute(tx, &[&role_id]).await.map_err(db_error)?;
    Ok(Event::new(EventKind::RoleDeleted, &actor).detail(json!({ "role": name })))
}

/// Always the users first, then the role: two who lock both cannot wait for each other.
async fn grant<'a>(tx: &Transaction<'_>, caller: &'a Caller, name: &RoleName, user: UserId) -> Result<Event<'a>> {
    let (actor, subject) = Actor::prove_on(tx, caller, user).await?;
    let subject = subject.live()?;
    actor.require_administrator()?;
    let role = sql::SHARE.row(tx, &[&name.key()]).await?.ok_or_else(no_such_role)?;
    actor.require_power_over(Some(level(&role)))?;
    actor.require_power_over(subject.level)?;
    let granted = sql::GRANT.execute(tx, &[user.as_uuid(), &role.get::<_, i32>("role_id")]).await.map_err(db_error)?;
    if granted == 0 {
        return Err(Error::new(ErrorKind::AlreadyAssigned, "the user has the role already"));
    }
    user::protect(tx, user, level(&role)).await?;
    let event = user::pass(tx, &actor, user, EventKind::RoleGranted, Sessions::Kept).await?;
    Ok(event.detail(json!({ "role": name })))
}

async fn revoke<'a>(tx: &Transaction<'_>, caller: &'a Caller, name: &RoleName, user: UserId) -> Result<Event<'a>> {
    let (actor, subject) = Actor::prove_on(tx, caller, user).await?;
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
    let event = user::pass(tx, &actor, user, EventKind::RoleRevoked, Sessions::Kept).await?;
    Ok(event.detail(json!({ "role": name })))
}

/// Fails when the user is the last one with the most powerful role and is about to lose it: by losing `role`, or, when
/// `None`, by being deleted. Whoever gets past holds the role until the transaction ends.
pub(super) async fn keep_last_of_its_kind(tx: &Transaction<'_>, user: UserId, role: Option<i32>) -> Result<()> {
    let Some(top) = sql::FIND_TOP.row(tx, &[]).await? else { return Ok(()) };
    let top: i32 = top.get("role_id");
    if role.is_some_and(|role| role != top) || sql::HAS.row(tx, &[&top, user.as_uuid()]).await?.is_none() {
        return Ok(());
    }
    sql::HOLD.row(tx, &[&top]).await?;
    match sql::HAS_ANOTHER.row(tx, &[&top, user.as_uuid()]).await? {
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorKind::LastOfItsKind, "nobody else has the most powerful role")),
    }
}

/// The roles of a user, most powerful first.
pub(super) fn views(rows: &[Row]) -> Result<Vec<RoleView>> {
    rows.iter().map(view).collect()
}

fn view(row: &Row) -> Result<RoleView> {
    Ok(RoleView {
        name: user::checked(row.get("name"))?,
        description: user::checked(row.get("description"))?,
        level: level(row),
    })
}

pub(super) fn level(row: &Row) -> Level {
    Level::clamped(row.get::<_, i32>("level").unsigned_abs())
}

fn no_such_role() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such role")
}
