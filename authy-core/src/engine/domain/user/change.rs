//! Changes of an account, by its owner after authenticating again, or by an administrator.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::{Row, Transaction};

use super::{Users, sql};
use crate::{
    Access, Email, Error, ErrorKind, Identity, Level, Result, SessionId, UserId, Username,
    access::ADMIN,
    api::{RECENT_LOGIN, account::AccountChange, event::EventKind, user::UserView},
    engine::{
        crypto::password::UserInputs,
        domain::{
            code::{self, Purpose},
            epoch::{SessionEffect, apply_account_change},
            fallback_hash,
            throttle::GuessLimiter,
        },
        journal::{
            actor::{Actor, Subject, no_such_user},
            caller::Caller,
            event::Event,
            write::{Tx, Written},
        },
        storage::{
            connector::db_error,
            db::Db,
            row::{optional_level, stored},
            statement::Params,
        },
    },
};

/// Maximum number of new addresses per account and hour: each is sent a mail.
const ADDRESSES_AN_HOUR: i64 = 5;

impl Users {
    /// Changes a user's password, email address, or both. A new address takes effect when the code that is sent to it
    /// is submitted. The result is the same for a taken address: its owner gets a notice, and no code is sent.
    ///
    /// # Errors
    /// [`ErrorKind::ReauthenticationRequired`], [`ErrorKind::InvalidCredentials`] when `current_password` is wrong,
    /// [`ErrorKind::InsufficientLevel`] and [`ErrorKind::BeyondYourLevel`] for another user's account,
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`], [`ErrorKind::WeakPassword`], [`ErrorKind::RateLimited`]
    /// after five new addresses within an hour, [`ErrorKind::Overloaded`].
    pub async fn change(&self, caller: &Caller, user: UserId, change: AccountChange) -> Result<UserView> {
        let password = change.password.clone();
        let change = self.prepare_change(caller, user, change).await?;
        self.journal.write(caller, async |tx| apply(tx, self, &change).await).await?;
        if let (Some(phc), Some(password)) = (&change.phc, &password) {
            self.passwords.fallback.offer(user, phc, &[password.as_secret()]);
        }
        self.find(user).await?.ok_or_else(no_such_user)
    }

    /// Checks a change and hashes its password, outside of a transaction.
    /// [`UsersWithin::change`](crate::engine::UsersWithin::change) then performs it.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn prepare_change(&self, caller: &Caller, user: UserId, change: AccountChange) -> Result<PreparedChange> {
        let is_own = caller.id() == Some(user);
        if let Some(identity) = caller.identity() {
            Access::OwnOrLevel(ADMIN).permit(identity, Some(user))?;
        }
        let account = find_changeable(self.db(), user).await?;
        let AccountChange { current_password, password, email, .. } = change;
        let proof = match (caller.identity().filter(|_| is_own), &current_password) {
            (Some(_), Some(current)) => {
                self.passwords.verify_again(caller, current).await?;
                Proof::Password(account.phc.clone())
            }
            (Some(identity), None) => {
                // Before the expensive hash; the transaction checks it again.
                let params: Params<'_> = &[identity.session_id.as_uuid(), user.as_uuid(), &RECENT_LOGIN.as_secs_f64()];
                require_recent(self.db().read_opt(&sql::IS_RECENT, params).await?)?;
                Proof::Login(identity.session_id)
            }
            (None, _) => {
                caller.require_power_over(account.level)?;
                Proof::Power
            }
        };
        // A caller who sets the address can request a code there that sets the password.
        if !is_own && !caller.is_operator() && !self.admin_sets_passwords {
            return Err(Error::new(
                ErrorKind::InsufficientLevel,
                "this server does not permit setting another user's password or address: send a reset",
            ));
        }
        let phc = match &password {
            Some(password) => {
                let (password, inputs) = (password.as_secret().normalized(), account.password_inputs(email.as_ref()));
                Some(self.passwords.passwords.admit(caller.hash_requester(), password, inputs).await?)
            }
            None => None,
        };
        let email = email.filter(|email| email.key() != account.email.key());
        Ok(PreparedChange { user, proof, phc, email })
    }

    /// Returns whether the session of a token began with a login at most `age` ago. A session that was opened without one,
    /// for a token of an earlier system or for the operator, does not count.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn has_logged_in_within(&self, caller: &Identity, age: Duration) -> Result<bool> {
        let params: Params<'_> = &[caller.session_id.as_uuid(), caller.public_id.as_uuid(), &age.as_secs_f64()];
        Ok(self.db().read_opt(&sql::IS_RECENT, params).await?.is_some())
    }
}

/// A checked change of an account: the caller is authorized, and the password is strong and hashed.
#[derive(Debug)]
pub struct PreparedChange {
    user: UserId,
    proof: Proof,
    phc: Option<String>,
    email: Option<Email>,
}

/// The reason why the caller may change the account.
#[derive(Debug)]
enum Proof {
    /// The caller's own account, with the correct password: the one with this hash.
    Password(Option<String>),
    /// The caller's own account, with a recent login.
    Login(SessionId),
    /// The account of a user who is not more powerful.
    Power,
}

impl Proof {
    /// Checks that the reason still applies, after the account was locked.
    async fn require(&self, tx: &Transaction<'_>, actor: &Actor, subject: &Subject) -> Result<()> {
        let user = subject.user;
        match self {
            Self::Power => actor.require_power_over(subject.level),
            // Prepared for another caller.
            _ if actor.user() != Some(user) => {
                Err(Error::new(ErrorKind::BeyondYourLevel, "only its owner can change the account in this way"))
            }
            Self::Login(session) => {
                let params: Params<'_> = &[session.as_uuid(), user.as_uuid(), &RECENT_LOGIN.as_secs_f64()];
                require_recent(sql::IS_RECENT.row(tx, params).await?)
            }
            Self::Password(phc) => match sql::HAS_PASSWORD.row(tx, &[user.as_uuid(), phc]).await? {
                Some(_) => Ok(()),
                None => Err(Error::new(ErrorKind::InvalidCredentials, "the password was changed meanwhile")),
            },
        }
    }
}

/// Performs a change. Appends an event for the requested address and one for the password; none for an address that is
/// already the current one.
pub(in crate::engine) async fn apply(tx: &Tx<'_>, users: &Users, change: &PreparedChange) -> Result<Written> {
    let PreparedChange { user, proof, phc, email } = change;
    let user = *user;
    let (actor, subject) = tx.prove_on(user).await?;
    proof.require(tx, &actor, &subject.live()?).await?;
    let changed = match phc {
        Some(phc) => {
            let own = actor.session().filter(|_| actor.user() == Some(user));
            let effect = own.map_or(SessionEffect::Ended, SessionEffect::EndedExcept);
            let event = set_password(tx, &users.passwords.limiter, &actor, user, phc, effect).await?;
            Some(event.detail(json!({ "reset": false })))
        }
        None => None,
    };
    let requested = match email {
        Some(email) => Some(request_email(tx, &actor, user, email).await?),
        None => None,
    };
    Ok(Written::with_events((), [requested, changed].into_iter().flatten().collect()))
}

/// Requests a new address, inside of a transaction that has locked the user.
async fn request_email(tx: &Transaction<'_>, actor: &Actor, user: UserId, email: &Email) -> Result<Event> {
    // Does not check whether another account has the address: the result, its time and the stored rows are the same
    // either way. The check occurs when the mail is sent.
    let kind = EventKind::EmailRequested;
    let row = code::sql::COUNT_REQUESTED.row(tx, &[user.as_uuid(), &kind.as_str()]).await?;
    if row.is_some_and(|row| row.get::<_, i64>(0) >= ADDRESSES_AN_HOUR) {
        let error =
            Error::new(ErrorKind::RateLimited, "too many new addresses were requested for this account: wait an hour");
        return Err(error.with_retry_after(Duration::from_secs(3600)));
    }
    code::revoke(tx, user, Some(Purpose::Email)).await?;
    if actor.user() != Some(user) {
        // Who corrects another user's address does not want what was mailed to the old one to open the account.
        code::revoke(tx, user, Some(Purpose::Reset)).await?;
    }
    let code = code::create(tx, user, Purpose::Email, Some(email)).await?;
    Ok(Event::new(kind, actor).about(user).detail(json!({ "code_id": code })))
}

/// Sets a password, inside of a transaction that has locked the user, and deletes the guesses at the old one.
pub(super) async fn set_password(
    tx: &Transaction<'_>,
    limiter: &GuessLimiter,
    actor: &Actor,
    user: UserId,
    phc: &str,
    effect: SessionEffect,
) -> Result<Event> {
    limiter.forget_guesses(tx, user).await?;
    sql::SET_PASSWORD.execute(tx, &[user.as_uuid(), &phc]).await.map_err(db_error)?;
    // Behind the change, whose lock no fallback hash of the old password passes.
    fallback_hash::sql::FORGET.execute(tx, &[&[*user.as_uuid()].as_slice()]).await.map_err(db_error)?;
    apply_account_change(tx, actor, user, EventKind::PasswordChanged, effect).await
}

/// The state of an account before its change.
pub(super) struct CurrentAccount {
    username: Username,
    email: Email,
    phc: Option<String>,
    level: Option<Level>,
}

impl CurrentAccount {
    /// Returns what a password must not resemble: the username, and the email address, which may be a new one.
    pub(super) fn password_inputs(&self, new_email: Option<&Email>) -> UserInputs {
        let email = new_email.unwrap_or(&self.email);
        UserInputs { username: self.username.as_str().to_owned(), email: email.as_str().to_owned() }
    }
}

/// Finds the state of an account before its change.
pub(super) async fn find_changeable(db: &Db, user: UserId) -> Result<CurrentAccount> {
    let row = db.read_opt(&sql::FIND_ACCOUNT, &[user.as_uuid()]).await?.ok_or_else(no_such_user)?;
    if row.get("deleted") {
        return Err(Error::new(ErrorKind::AlreadyDeleted, "the user was deleted"));
    }
    Ok(CurrentAccount {
        username: stored(&row, "username"),
        email: stored(&row, "email"),
        phc: row.get("phc"),
        level: optional_level(&row),
    })
}

fn require_recent(row: Option<Row>) -> Result<()> {
    match row {
        Some(_) => Ok(()),
        None => Err(Error::new(
            ErrorKind::ReauthenticationRequired,
            "send current_password, or log in again: the last login was more than ten minutes ago",
        )),
    }
}
