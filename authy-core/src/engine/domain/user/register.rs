//! Sign-up.

use serde_json::json;
use tokio_postgres::error::{DbError, SqlState};

use super::{Users, claim, sql};
use crate::{
    Email, Error, ErrorKind, Invalid, Result, RoleName, Secret, UserId, Username,
    api::{event::EventKind, user::NewUser},
    engine::{
        crypto::{hasher::HashRequester, password::UserInputs, random::random_text},
        domain::{
            code::{self, Purpose},
            lookalike, role,
        },
        journal::{
            actor::Actor,
            caller::Caller,
            event::Event,
            write::{Tx, Written},
        },
        storage::{connector::db_error, row::level, statement::Params},
    },
    name::Stored as _,
};

/// The role of a user who signs up.
const USER_ROLE: &str = "user";

/// The constraint that makes names unique.
const UNIQUE_NAME: &str = "users_username_unique";

/// The role of the first administrator.
const SUPERADMIN_ROLE: &str = "superadmin";

/// A checked sign-up: the name is available and does not look like a reserved or an administrator's name, and the
/// password is strong and hashed.
///
/// Hashing takes time, so it is done before a transaction begins.
#[derive(Debug)]
pub struct Registration {
    username: Username,
    email: Email,
    phc: String,
    // The skeletons of the name; empty when an operator chose it, and then nothing is compared.
    skeletons: Vec<String>,
    // Whether the operator vouches for the address, because the operator created the account for someone else.
    is_vouched_for: bool,
}

impl Users {
    /// Signs up a user with the role `user`.
    ///
    /// An address is taken once an account has confirmed it. Until then, others can sign up with it, and lose it to the
    /// first account that confirms it: nobody can withhold an address from its owner.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyRegistered`] when the name or the address is taken, including by a deleted user, or the name
    /// is reserved, or looks like a reserved one or an administrator's: the error lists the field `username` unless only
    /// the address is taken; [`ErrorKind::WeakPassword`]; [`ErrorKind::Overloaded`] when too many passwords wait to be
    /// hashed.
    pub async fn register(&self, caller: &Caller, user: NewUser) -> Result<UserId> {
        let registration = self.prepare_registration(caller, user).await?;
        self.journal.write(caller, async |tx| insert(tx, &registration, None).await).await
    }

    /// Creates a user with a role, for administrators and the operator.
    ///
    /// # Errors
    /// As [`register`](Self::register), and [`ErrorKind::NotFound`] when there is no such role,
    /// [`ErrorKind::InsufficientLevel`], [`ErrorKind::BeyondYourLevel`] for a role more powerful than the caller.
    pub async fn create(&self, caller: &Caller, user: NewUser, role: &RoleName) -> Result<UserId> {
        let registration = self.prepare_registration(caller, user).await?;
        self.journal.write(caller, async |tx| insert(tx, &registration, Some(role)).await).await
    }

    /// Checks a sign-up and hashes its password, outside of a transaction.
    /// [`UsersWithin::register`](crate::engine::UsersWithin::register) then performs it.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub async fn prepare_registration(&self, caller: &Caller, user: NewUser) -> Result<Registration> {
        let NewUser { username, email, password, .. } = user;
        let key = username.key();
        let taken_as: Params<'_> = &[&self.erased.forms(&key), &self.erased.forms(&email.key())];
        // Sent together: the comparison of names needs no additional round trip.
        let (skeletons, found) = tokio::join!(
            self.reserved.require_distinct(self.db(), caller, &username),
            self.db().read_opt(&sql::FIND_TAKEN, taken_as)
        );
        // Checked first: a taken name has the same result in any case, so that it does not reveal administrators.
        if let Some(row) = found? {
            return Err(if row.get("has_name") { name_taken() } else { taken() });
        }
        let skeletons = skeletons?;
        let inputs = UserInputs { username: username.as_str().to_owned(), email: email.as_str().to_owned() };
        let phc =
            self.passwords.passwords.admit(caller.hash_requester(), password.as_secret().normalized(), inputs).await?;
        Ok(Registration { username, email, phc, skeletons, is_vouched_for: caller.is_operator() })
    }

    /// Creates the first administrator of a database without users, for the operator. Returns the name and the
    /// password, which is not available later; `None` when there are users, or another instance has just created one.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller is the operator; [`ErrorKind::Unavailable`] when the database
    /// is not available.
    pub async fn create_first_administrator(&self, caller: &Caller) -> Result<Option<(Username, Secret)>> {
        Actor::operator(caller)?;
        if self.db().read_opt(&sql::ANY, &[]).await?.is_some() {
            return Ok(None);
        }
        let password = Secret::new(random_text::<15>()?);
        let username = Username::stored("admin".to_owned());
        let registration = Registration {
            username: username.clone(),
            // Its domain never exists (RFC 2606), so no mail can be sent there.
            email: Email::stored("admin@authy.invalid".to_owned()),
            phc: self.passwords.passwords.hash(HashRequester::default(), password.normalized()).await?,
            skeletons: Vec::new(),
            is_vouched_for: true,
        };
        let role = RoleName::stored(SUPERADMIN_ROLE.to_owned());
        let is_first = self.journal.write(caller, async |tx| {
            sql::LOCK_FIRST.rows(tx, &[]).await?;
            if sql::ANY.row(tx, &[]).await?.is_some() {
                return Ok(Written::unchanged(false));
            }
            Ok(insert(tx, &registration, Some(&role)).await?.map(|_| true))
        });
        Ok(is_first.await?.then_some((username, password)))
    }
}

pub(in crate::engine) async fn insert(
    tx: &Tx<'_>,
    registration: &Registration,
    role: Option<&RoleName>,
) -> Result<Written<UserId>> {
    let actor = tx.prove().await?;
    let Registration { username, email, phc, skeletons, is_vouched_for } = registration;
    let user = UserId::random();
    let (username_key, email_key) = (username.key(), email.key());
    if *is_vouched_for {
        claim::lock(tx, user, email).await?;
    }
    let params: Params<'_> = &[
        user.as_uuid(),
        &username.as_str(),
        &username_key,
        &email.as_str(),
        &email_key,
        is_vouched_for,
        skeletons,
        &lookalike::ADMINISTRATOR_LEVEL,
    ];
    let created = sql::CREATE.execute(tx, params).await.map_err(unless_taken)?;
    if created == 0 {
        // A user with a similar name became an administrator while the password was hashed.
        return Err(lookalike::refused());
    }
    sql::CREATE_PASSWORD.execute(tx, &[user.as_uuid(), &phc.as_str()]).await.map_err(db_error)?;
    let is_given = role.is_some();
    let role = role.cloned().unwrap_or_else(|| RoleName::stored(USER_ROLE.to_owned()));
    let row = role::sql::SHARE.row(tx, &[&role.key()]).await?;
    let row = row.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such role"))?;
    // Anyone can sign up as `user`; granting a role requires a level that is at least as powerful.
    if is_given {
        actor.require_power_over(Some(level(&row)))?;
    }
    role::sql::GRANT.execute(tx, &[user.as_uuid(), &row.get::<_, i32>("role_id")]).await.map_err(db_error)?;
    lookalike::protect(tx, user, level(&row)).await?;
    let event = Event::new(EventKind::UserRegistered, &actor).about(user);
    let event = match is_vouched_for {
        true => event.detail(json!({ "role": role })).revoking(claim::release(tx, user, email).await?),
        false => {
            let code = code::create(tx, user, Purpose::Validate, Some(email)).await?;
            event.detail(json!({ "role": role, "code_id": code }))
        }
    };
    Ok(Written::new(user, event))
}

/// Returns the error of the second of two concurrent sign-ups.
fn unless_taken(cause: tokio_postgres::Error) -> Error {
    let is_name = |error: &DbError| error.constraint() == Some(UNIQUE_NAME);
    match cause.code() {
        Some(&SqlState::UNIQUE_VIOLATION) if cause.as_db_error().is_some_and(is_name) => name_taken(),
        Some(&SqlState::UNIQUE_VIOLATION) => taken(),
        _ => db_error(cause),
    }
}

/// Returns the error for a name that is taken. Names are public, so it says that the address is not the reason.
fn name_taken() -> Error {
    taken().with_field(Invalid::new("taken", "is taken").of("username"))
}

/// Returns the error for a name or an address that is taken. It never names the address.
fn taken() -> Error {
    Error::new(ErrorKind::AlreadyRegistered, "this username or email is taken")
}
