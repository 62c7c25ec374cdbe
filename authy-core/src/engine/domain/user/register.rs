//! Sign-up, and the row, password, role and codes of a new user.

use std::error::Error as _;

use serde_json::json;
use tokio_postgres::{
    Row,
    error::{DbError, SqlState},
};
use uuid::Uuid;

use super::{Users, claim, password_reset::mail_code, sql};
use crate::{
    Email, Error, ErrorKind, Invalid, NewPassword, Result, RoleName, UserId, Username,
    api::{event::EventKind, user::NewUser},
    engine::{
        crypto::password::UserInputs,
        domain::{
            code::{self, Purpose},
            lookalike, role,
        },
        journal::{
            actor::Actor,
            caller::Caller,
            event::{Columns, Event},
            write::{Tx, Written},
        },
        storage::{connector::db_error, row::level, statement::Params},
    },
    name::Stored as _,
};

/// The constraint that makes names unique.
const UNIQUE_NAME: &str = "users_username_unique";

/// The role of a user who signs up, and of a new account for which no other role is chosen.
const USER_ROLE: &str = "user";

/// A checked sign-up: the name is available and does not look like a reserved or an administrator's name, and the
/// password is strong and hashed.
///
/// Hashing takes time, so it is done before a transaction begins.
#[derive(Debug)]
pub struct Registration {
    pub(super) user: UserId,
    pub(super) username: Username,
    pub(super) email: Email,
    // Without one, the user is invited to choose it.
    pub(super) phc: Option<String>,
    // The skeletons of the name; empty when an operator chose it, and then nothing is compared.
    pub(super) skeletons: Vec<String>,
    // Whether the creator vouches for the address, and it needs no confirmation.
    pub(super) is_vouched_for: bool,
}

impl Registration {
    /// Returns the ID that the user will have, before there is a transaction: other systems can store it first.
    pub fn user_id(&self) -> UserId {
        self.user
    }
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
        let password = user.password.clone();
        let registration = self.prepare_registration(caller, user).await?;
        let is_done = match (caller.identity(), &registration.phc) {
            (None, Some(phc)) if !registration.is_vouched_for => {
                self.register_anonymous(caller, &registration, phc).await?
            }
            _ => false,
        };
        if !is_done {
            self.journal.write(caller, async |tx| register(tx, self, &registration).await).await?;
        }
        self.offer_fallback(&registration, Some(&password));
        Ok(registration.user)
    }

    /// Signs up a user on behalf of a caller who has no account, so that nothing has to be proven: as [`register`] does, in one
    /// statement. Its eight round trips, each with a statement to plan, would cost PostgreSQL more than what they write.
    ///
    /// Returns false, and writes nothing, for what only [`register`] does: to refuse with the reason, and to make an administrator.
    async fn register_anonymous(&self, caller: &Caller, registration: &Registration, phc: &str) -> Result<bool> {
        let Registration { user, username, email, skeletons, .. } = registration;
        let (role, code) = (user_role(), Uuid::new_v4());
        let [skeleton, other_skeleton] = [skeletons.first(), skeletons.last()];
        let event = Event::new(EventKind::UserRegistered, &Actor::by_secret(caller));
        let Columns { event_id, kind, actor_kind, ip, user_agent, request_id, .. } = event.columns();
        let params: Params<'_> = &[
            user.as_uuid(),
            &username.as_str(),
            &username.key(),
            &email.as_str(),
            &email.key(),
            &skeleton,
            &other_skeleton,
            &lookalike::ADMINISTRATOR_LEVEL,
            &phc,
            &role.key(),
            &code,
            &Purpose::Validate.as_str(),
            &Purpose::Validate.lifetime().as_secs_f64(),
            &event_id,
            &kind,
            &actor_kind,
            &ip,
            &user_agent,
            &request_id,
            &json!({ "role": role, "code_id": code }),
        ];
        let is_done = self.db().write(&sql::REGISTER, params).await.map_err(unless_taken_alone)?.is_some();
        if is_done {
            self.journal.feed.history.note_commit(event_id);
        }
        Ok(is_done)
    }

    /// Has a fallback hash made of the password of a new user.
    pub(super) fn offer_fallback(&self, registration: &Registration, password: Option<&NewPassword>) {
        if let (Some(phc), Some(password)) = (&registration.phc, password) {
            self.passwords.fallback.offer(registration.user, phc, &[password.as_secret()]);
        }
    }

    /// Checks a sign-up and hashes its password, outside of a transaction.
    /// [`UsersWithin::register`](crate::engine::UsersWithin::register) then performs it.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub async fn prepare_registration(&self, caller: &Caller, user: NewUser) -> Result<Registration> {
        let NewUser { username, email, password, .. } = user;
        self.check_new_user(caller, username, email, Some(&password), caller.is_operator()).await
    }

    /// Checks the name, the address and the password of a new user, and hashes the password.
    pub(super) async fn check_new_user(
        &self,
        caller: &Caller,
        username: Username,
        email: Email,
        password: Option<&NewPassword>,
        is_vouched_for: bool,
    ) -> Result<Registration> {
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
        let phc = match password {
            Some(password) => {
                let inputs = UserInputs { username: username.as_str().to_owned(), email: email.as_str().to_owned() };
                let (requester, password) = (caller.hash_requester(), password.as_secret().normalized());
                Some(self.passwords.passwords.admit(requester, password, inputs).await?)
            }
            None => None,
        };
        Ok(Registration { user: UserId::random(), username, email, phc, skeletons, is_vouched_for })
    }
}

/// Returns the role of a user who signs up.
pub(super) fn user_role() -> RoleName {
    RoleName::stored(USER_ROLE.to_owned())
}

pub(in crate::engine) async fn register(
    tx: &Tx<'_>,
    users: &Users,
    registration: &Registration,
) -> Result<Written<UserId>> {
    if registration.is_vouched_for {
        claim::lock(tx, None, &registration.email).await?;
    }
    let actor = tx.prove().await?;
    if registration.is_vouched_for {
        // Prepared by the operator, and perhaps for another caller.
        actor.require_full_power()?;
    }
    let name = user_role();
    // Anyone can sign up as `user`.
    let role = role::sql::SHARE.row(tx, &[&name.key()]).await?.ok_or_else(role::unknown)?;
    insert(tx, users, &actor, registration, (&name, &role)).await
}

/// Inserts a user with a role that the actor may grant, inside of a transaction that has locked all accounts with the
/// address if it is vouched for.
pub(super) async fn insert(
    tx: &Tx<'_>,
    users: &Users,
    actor: &Actor,
    registration: &Registration,
    (role_name, role): (&RoleName, &Row),
) -> Result<Written<UserId>> {
    let Registration { user, username, email, phc, skeletons, is_vouched_for } = registration;
    let user = *user;
    let params: Params<'_> = &[
        user.as_uuid(),
        &username.as_str(),
        &username.key(),
        &email.as_str(),
        &email.key(),
        is_vouched_for,
        skeletons,
        &lookalike::ADMINISTRATOR_LEVEL,
    ];
    let created = sql::CREATE.execute(tx, params).await.map_err(unless_taken)?;
    if created == 0 {
        // A user with a similar name became an administrator while the password was hashed.
        return Err(lookalike::refused());
    }
    if let Some(phc) = phc {
        sql::CREATE_PASSWORD.execute(tx, &[user.as_uuid(), &phc.as_str()]).await.map_err(db_error)?;
    }
    role::sql::GRANT.execute(tx, &[user.as_uuid(), &role.get::<_, i32>("role_id")]).await.map_err(db_error)?;
    lookalike::protect(tx, user, level(role)).await?;
    let registered = Event::new(EventKind::UserRegistered, actor).about(user);
    let registered = match is_vouched_for {
        true => registered.revoking(claim::release(tx, user, email).await?),
        false => registered,
    };
    let events = match (phc, is_vouched_for) {
        (Some(_), true) => vec![registered.detail(json!({ "role": role_name, "validated": true }))],
        (Some(_), false) => {
            let code = code::create(tx, user, Purpose::Validate, Some(email)).await?;
            vec![registered.detail(json!({ "role": role_name, "code_id": code }))]
        }
        // The code of the invitation confirms the address, too.
        (None, validated) => {
            let detail = json!({ "role": role_name, "validated": validated, "invited": true });
            vec![registered.detail(detail), mail_code(tx, actor, user, email, users.invitation_ttl).await?]
        }
    };
    Ok(Written::with_events(user, events))
}

/// The same for a statement that is a transaction of its own, whose errors have been classified.
fn unless_taken_alone(error: Error) -> Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.and_then(taken_as).unwrap_or(error)
}

/// Returns the error of the second of two concurrent sign-ups.
fn unless_taken(cause: tokio_postgres::Error) -> Error {
    taken_as(&cause).unwrap_or_else(|| db_error(cause))
}

/// Returns the error for the constraint that a sign-up violates; `None` when it violates none that another sign-up can cause.
fn taken_as(cause: &tokio_postgres::Error) -> Option<Error> {
    let is_name = |error: &DbError| error.constraint() == Some(UNIQUE_NAME);
    (cause.code() == Some(&SqlState::UNIQUE_VIOLATION))
        .then(|| if cause.as_db_error().is_some_and(is_name) { name_taken() } else { taken() })
}

/// Returns the error for a name that is taken. Names are public, so it says that the address is not the reason.
fn name_taken() -> Error {
    taken().with_field(Invalid::new("taken", "is taken").of("username"))
}

/// Returns the error for a name or an address that is taken. It never names the address.
fn taken() -> Error {
    Error::new(ErrorKind::AlreadyRegistered, "this username or email is taken")
}
