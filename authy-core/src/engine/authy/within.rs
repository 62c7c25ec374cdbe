//! The handles for a transaction of the embedding program.

use tokio_postgres::Transaction;

use super::Authy;
use crate::{
    Result, RoleName, Secret, UserId,
    api::{
        account::Validated,
        role::{NewRole, RoleView},
    },
    engine::{
        domain::{
            role, session,
            user::{
                change::{self, PreparedChange},
                create::{self, PreparedAccount},
                deletion, email_verification,
                password_reset::{self, PreparedReset},
                register::{self, Registration},
            },
        },
        journal::{
            caller::Caller,
            write::{Tx, Uncommitted, Written},
        },
    },
};

/// Handles for a transaction of the embedding program: [`Authy::within`].
///
/// Each method says what its commit revokes. From the commit on, no write with a revoked token succeeds. This process
/// refuses the token as soon as [`Authy::committed`] gets the result of the method, every other within a second. A
/// rollback revokes nothing.
#[derive(Clone, Copy)]
pub struct Within<'a> {
    authy: &'a Authy,
    transaction: &'a Transaction<'a>,
}

impl<'a> Within<'a> {
    pub(super) fn new(authy: &'a Authy, transaction: &'a Transaction<'a>) -> Self {
        Self { authy, transaction }
    }

    /// Returns the handle for users and their accounts.
    pub fn users(self) -> UsersWithin<'a> {
        UsersWithin(self)
    }

    /// Returns the handle for roles and their users.
    pub fn roles(self) -> RolesWithin<'a> {
        RolesWithin(self)
    }

    /// Returns the handle for sessions.
    pub fn sessions(self) -> SessionsWithin<'a> {
        SessionsWithin(self)
    }

    async fn join<T, W: Into<Written<T>>>(
        self,
        caller: &Caller,
        work: impl AsyncFnOnce(&Tx<'_>) -> Result<W>,
    ) -> Result<Uncommitted<T>> {
        self.authy.handles.journal.join(self.transaction, caller, work).await
    }
}

/// [`Users`](crate::engine::Users), within a transaction of the embedding program.
#[derive(Clone, Copy)]
pub struct UsersWithin<'a>(Within<'a>);

impl UsersWithin<'_> {
    /// Signs up a user with the role `user`, after
    /// [`prepare_registration`](crate::engine::Users::prepare_registration). The commit revokes nothing; for the
    /// operator, who vouches for the address, it ends the sessions and revokes the access tokens of accounts that have
    /// not confirmed the same address, and lose it.
    ///
    /// # Errors
    /// As [`Users::register`](crate::engine::Users::register).
    pub async fn register(self, caller: &Caller, registration: &Registration) -> Result<Uncommitted<UserId>> {
        let users = self.0.authy.users();
        self.0.join(caller, async |tx| register::register(tx, users, registration).await).await
    }

    /// Creates a user for another person, after [`prepare_account`](crate::engine::Users::prepare_account). The commit revokes the
    /// same as that of [`register`](Self::register).
    ///
    /// # Errors
    /// As [`Users::create`](crate::engine::Users::create).
    pub async fn create(self, caller: &Caller, account: &PreparedAccount) -> Result<Uncommitted<UserId>> {
        let users = self.0.authy.users();
        self.0.join(caller, async |tx| create::create(tx, users, account).await).await
    }

    /// Changes a user's password, email address, or both, after
    /// [`prepare_change`](crate::engine::Users::prepare_change). With a new password the commit ends all sessions of the
    /// user except the caller's own, and revokes all access tokens of the user, the caller's included: refresh it. A new
    /// address revokes nothing until it is confirmed.
    ///
    /// # Errors
    /// As [`Users::change`](crate::engine::Users::change).
    pub async fn change(self, caller: &Caller, change: &PreparedChange) -> Result<Uncommitted> {
        let users = self.0.authy.users();
        self.0.join(caller, async |tx| change::apply(tx, users, change).await).await
    }

    /// Deletes a user. The commit ends all sessions of the user, and revokes all access tokens.
    ///
    /// # Errors
    /// As [`Users::delete`](crate::engine::Users::delete).
    pub async fn delete(self, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        self.0.join(caller, async |tx| deletion::delete(tx, user).await).await
    }

    /// Restores a deleted user. The commit revokes nothing that was valid: sessions from before the deletion stay ended.
    ///
    /// # Errors
    /// As [`Users::restore`](crate::engine::Users::restore).
    pub async fn restore(self, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        self.0.join(caller, async |tx| deletion::restore(tx, user).await).await
    }

    /// Erases a user. The commit ends all sessions of the user, and revokes all access tokens.
    ///
    /// # Errors
    /// As [`Users::erase`](crate::engine::Users::erase).
    pub async fn erase(self, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        let users = self.0.authy.users();
        self.0.join(caller, async |tx| deletion::erase(tx, users, user).await).await
    }

    /// Sends a user a code that resets the password. A user who has no password yet is invited again. The commit revokes
    /// nothing.
    ///
    /// # Errors
    /// As [`Users::send_reset`](crate::engine::Users::send_reset).
    pub async fn send_reset(self, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        let users = self.0.authy.users();
        self.0.join(caller, async |tx| password_reset::send_reset(tx, users, user).await).await
    }

    /// Creates a code that resets a user's password, and returns it for the operator to pass on. The commit revokes
    /// nothing.
    ///
    /// # Errors
    /// As [`Users::create_reset`](crate::engine::Users::create_reset).
    pub async fn create_reset(self, caller: &Caller, user: UserId) -> Result<Uncommitted<Secret>> {
        let users = self.0.authy.users();
        self.0.join(caller, async |tx| password_reset::create_reset(tx, users, user).await).await
    }

    /// Sets a new password with a code, after [`prepare_reset`](crate::engine::Users::prepare_reset). Does not count
    /// wrong codes. The commit ends all sessions of the user, and revokes all access tokens.
    ///
    /// # Errors
    /// As [`Users::reset_password`](crate::engine::Users::reset_password).
    pub async fn reset_password(self, caller: &Caller, reset: &PreparedReset) -> Result<Uncommitted> {
        let users = self.0.authy.users();
        self.0.join(caller, async |tx| password_reset::set_by_code(tx, users, reset).await).await
    }

    /// Confirms an email address with a code. Does not count wrong codes. The commit revokes the user's access tokens
    /// when the address is a new one; the sessions continue, and get new tokens. Other accounts that have not confirmed
    /// the same address lose it: their sessions end, and their access tokens are revoked.
    ///
    /// # Errors
    /// As [`Users::validate`](crate::engine::Users::validate).
    pub async fn validate(self, caller: &Caller, code: &Secret) -> Result<Uncommitted<Validated>> {
        let users = self.0.authy.users();
        self.0.join(caller, async |tx| email_verification::validate(tx, users, code).await).await
    }
}

/// [`Roles`](crate::engine::Roles), within a transaction of the embedding program.
#[derive(Clone, Copy)]
pub struct RolesWithin<'a>(Within<'a>);

impl RolesWithin<'_> {
    /// Creates a role. The commit revokes nothing.
    ///
    /// # Errors
    /// As [`Roles::create`](crate::engine::Roles::create).
    pub async fn create(self, caller: &Caller, role: &NewRole) -> Result<Uncommitted> {
        self.0.join(caller, async |tx| role::create(tx, role).await).await
    }

    /// Creates a role, unless it exists with this name and level. The commit revokes nothing.
    ///
    /// # Errors
    /// As [`Roles::ensure`](crate::engine::Roles::ensure).
    pub async fn ensure(self, caller: &Caller, role: &NewRole) -> Result<Uncommitted<RoleView>> {
        self.0.join(caller, async |tx| role::ensure(tx, role).await).await
    }

    /// Deletes a role. The commit revokes nothing, because no user has the role.
    ///
    /// # Errors
    /// As [`Roles::delete`](crate::engine::Roles::delete).
    pub async fn delete(self, caller: &Caller, name: &RoleName) -> Result<Uncommitted> {
        self.0.join(caller, async |tx| role::delete(tx, name).await).await
    }

    /// Grants a role to a user. The commit revokes the user's access tokens, which do not contain the role; the sessions
    /// continue, and get tokens that do.
    ///
    /// # Errors
    /// As [`Roles::grant`](crate::engine::Roles::grant).
    pub async fn grant(self, caller: &Caller, name: &RoleName, user: UserId) -> Result<Uncommitted> {
        self.0.join(caller, async |tx| role::grant(tx, name, user).await).await
    }

    /// Revokes a role from a user. The commit revokes the user's access tokens, which contain the role; the sessions
    /// continue, and get tokens that do not.
    ///
    /// # Errors
    /// As [`Roles::revoke`](crate::engine::Roles::revoke).
    pub async fn revoke(self, caller: &Caller, name: &RoleName, user: UserId) -> Result<Uncommitted> {
        self.0.join(caller, async |tx| role::revoke(tx, name, user).await).await
    }
}

/// [`Sessions`](crate::engine::Sessions), within a transaction of the embedding program.
#[derive(Clone, Copy)]
pub struct SessionsWithin<'a>(Within<'a>);

impl SessionsWithin<'_> {
    /// Ends all sessions of a user. The commit revokes all access tokens of the user.
    ///
    /// # Errors
    /// As [`Sessions::end_all`](crate::engine::Sessions::end_all).
    pub async fn end_all(self, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        self.0.join(caller, async |tx| session::end_all(tx, user).await).await
    }
}
