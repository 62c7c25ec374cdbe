//! Creates users on behalf of others: for administrators and the operator.

use super::{
    Users, claim,
    register::{Registration, insert, user_role},
    sql,
};
use crate::{
    Email, Error, ErrorKind, Result, RoleName, Secret, UserId, Username,
    api::user::NewAccount,
    engine::{
        crypto::{hasher::HashRequester, random::random_text},
        domain::{lookalike, role},
        journal::{
            actor::Actor,
            caller::Caller,
            write::{Tx, Written},
        },
        storage::row::level,
    },
    name::Stored as _,
};

/// The role of the first administrator.
const SUPERADMIN_ROLE: &str = "superadmin";

/// The name of the first administrator.
const FIRST_ADMINISTRATOR: &str = "admin";

/// A checked account: the name is available, and the password, if there is one, is strong and hashed.
#[derive(Debug)]
pub struct PreparedAccount {
    registration: Registration,
    role: RoleName,
}

impl PreparedAccount {
    /// Returns the ID that the user will have, before there is a transaction: other systems can store it first.
    pub fn user_id(&self) -> UserId {
        self.registration.user_id()
    }
}

impl Users {
    /// Creates a user for another person. Without a password, the user gets a mail with a code that sets it, and cannot
    /// log in before.
    ///
    /// With `validated`, the caller vouches for the address: other accounts that have not confirmed it lose it, as when
    /// its owner confirms it.
    ///
    /// # Errors
    /// [`ErrorKind::InsufficientLevel`] when the caller is not an administrator, or the account has a password and
    /// [`Config::admin_sets_passwords`](crate::engine::Config::admin_sets_passwords) is false;
    /// [`ErrorKind::BeyondYourLevel`] when the role, or a user who loses the address, is more powerful than the caller;
    /// [`ErrorKind::InvalidInput`] when there is no such role; [`ErrorKind::AlreadyRegistered`],
    /// [`ErrorKind::WeakPassword`] and [`ErrorKind::Overloaded`] as at a [`register`](Self::register).
    pub async fn create(&self, caller: &Caller, account: NewAccount) -> Result<UserId> {
        let password = account.password.clone();
        let account = self.prepare_account(caller, account).await?;
        let id = self.journal.write(caller, async |tx| create(tx, self, &account).await).await?;
        self.offer_fallback(&account.registration, password.as_ref());
        Ok(id)
    }

    /// Checks an account and hashes its password, outside of a transaction.
    /// [`UsersWithin::create`](crate::engine::UsersWithin::create) then creates it.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn prepare_account(&self, caller: &Caller, account: NewAccount) -> Result<PreparedAccount> {
        // Before the expensive hash; the transaction checks it again.
        caller.require_power_over(None)?;
        let NewAccount { username, email, password, role, validated } = account;
        if password.is_some() && !caller.is_operator() && !self.admin_sets_passwords {
            return Err(Error::new(
                ErrorKind::InsufficientLevel,
                "this server does not permit setting another user's password: without one, the user is invited by mail",
            ));
        }
        let is_vouched_for = validated.unwrap_or(false);
        let registration = self.check_new_user(caller, username, email, password.as_ref(), is_vouched_for).await?;
        Ok(PreparedAccount { registration, role: role.unwrap_or_else(user_role) })
    }

    /// Creates the first administrator of a database without users, or with imported users none of whom is an
    /// administrator, for the operator. Returns the name and the password, which is not available later; `None` when there
    /// are other users or an administrator, or another instance has just created one. Warns in the log when no
    /// administrator has a password.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller is the operator; [`ErrorKind::Unavailable`] when the database
    /// is not available.
    pub async fn create_first_administrator(&self, caller: &Caller) -> Result<Option<(Username, Secret)>> {
        Actor::operator(caller)?;
        let level = lookalike::ADMINISTRATOR_LEVEL;
        if self.db().read_opt(&sql::HAS_ADMINISTRATOR, &[&level]).await?.is_some() {
            if let Some(row) = self.db().read_opt(&sql::FIND_LOCKED_OUT, &[&level]).await? {
                tracing::warn!(
                    user = row.get::<_, &str>("username"),
                    "no administrator has a usable password, so none can log in: `authy-server user reset-link` sets one"
                );
            }
            return Ok(None);
        }
        let user = UserId::random();
        // An imported user may have the name.
        let taken = self.find_named(&Username::stored(FIRST_ADMINISTRATOR.to_owned())).await?;
        let name = taken.map_or_else(
            || FIRST_ADMINISTRATOR.to_owned(),
            |_| format!("{FIRST_ADMINISTRATOR}-{}", user.as_uuid().simple()),
        );
        let password = Secret::new(random_text::<15>()?);
        let username = Username::stored(name);
        let registration = Registration {
            user,
            username: username.clone(),
            // Its domain never exists (RFC 2606), so no mail can be sent there.
            email: Email::stored("admin@authy.invalid".to_owned()),
            phc: Some(self.passwords.passwords.hash(HashRequester::default(), password.normalized()).await?),
            skeletons: Vec::new(),
            is_vouched_for: true,
        };
        let account = PreparedAccount { registration, role: RoleName::stored(SUPERADMIN_ROLE.to_owned()) };
        let is_first = self.journal.write(caller, async |tx| {
            sql::LOCK_FIRST.rows(tx, &[]).await?;
            if sql::HAS_ADMINISTRATOR.row(tx, &[&level]).await?.is_some() {
                return Ok(Written::unchanged(false));
            }
            Ok(create(tx, self, &account).await?.map(|_| true))
        });
        Ok(is_first.await?.then_some((username, password)))
    }
}

pub(in crate::engine) async fn create(
    tx: &Tx<'_>,
    users: &Users,
    PreparedAccount { registration, role: name }: &PreparedAccount,
) -> Result<Written<UserId>> {
    let Registration { email, is_vouched_for, .. } = registration;
    if *is_vouched_for {
        // With the actor: a second statement would lock in another order, and could deadlock.
        claim::lock(tx, tx.caller_id(), email).await?;
    }
    let actor = tx.prove().await?;
    actor.require_administrator()?;
    if registration.phc.is_some() && actor.user().is_some() && !users.admin_sets_passwords {
        // Prepared by another caller.
        return Err(Error::new(
            ErrorKind::InsufficientLevel,
            "this server does not permit setting another user's password",
        ));
    }
    if *is_vouched_for {
        claim::require_power_over_claimants(tx, &actor, email).await?;
    }
    let role = role::sql::SHARE.row(tx, &[&name.key()]).await?.ok_or_else(role::unknown)?;
    actor.require_power_over(Some(level(&role)))?;
    insert(tx, users, &actor, registration, (name, &role)).await
}
