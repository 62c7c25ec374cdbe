//! Resets of forgotten passwords.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Transaction;
use uuid::Uuid;

use super::{
    Users,
    change::{find_changeable, set_password},
    claim,
    email_verification::confirm,
    sql,
};
use crate::{
    Email, Error, ErrorKind, Result, Secret, UserId, Username,
    api::{
        account::{ForgottenPassword, PasswordReset},
        event::EventKind,
    },
    engine::{
        domain::{
            code::{self, Purpose, StoredCode, no_such_code, unless_gone},
            epoch::SessionEffect,
        },
        journal::{
            actor::{Actor, lock_live},
            caller::Caller,
            event::{Columns, Event},
            write::{Tx, Written},
        },
        storage::{row::stored, statement::Params},
    },
};

/// Duration of a request for a reset. The same rows are written whether or not the account exists; but a row read from
/// disk, or an index page that is not cached, would make a measurable difference.
const RESET_REQUEST_TIME: Duration = Duration::from_millis(20);

impl Users {
    /// Mails a reset code to an address when an account has it, at most a few times per hour. Always takes 20
    /// milliseconds, unless the database is slower.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn forgot_password(&self, caller: &Caller, forgotten: &ForgottenPassword) -> Result<()> {
        let event = Event::new(EventKind::ResetRequested, &Actor::by_secret(caller));
        let Columns { event_id, kind, actor, actor_kind, ip, user_agent, request_id } = event.columns();
        let (key, code, lifetime) = (forgotten.email.key(), Uuid::new_v4(), Purpose::Reset.lifetime().as_secs_f64());
        let params: Params<'_> =
            &[&key, &code, &lifetime, &event_id, &kind, &actor, &actor_kind, &ip, &user_agent, &request_id];
        let done_at = Instant::now() + RESET_REQUEST_TIME;
        let written = self.db().write(&code::sql::CREATE_RESET, params).await;
        sleep_until(done_at).await;
        written.map(drop)
    }

    /// Sends a user a code that resets the password. A user who has no password yet is invited again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`], [`ErrorKind::BeyondYourLevel`].
    pub async fn send_reset(&self, caller: &Caller, user: UserId) -> Result<()> {
        self.journal.write(caller, async |tx| send_reset(tx, self, user).await).await
    }

    /// Creates a code that resets a user's password, and returns it for the operator to pass on. The code is not
    /// mailed.
    ///
    /// # Errors
    /// As [`send_reset`](Self::send_reset).
    pub async fn create_reset(&self, caller: &Caller, user: UserId) -> Result<Secret> {
        self.journal.write(caller, async |tx| create_reset(tx, self, user).await).await
    }

    /// Returns the account of a code that sets a password. Changes nothing, and does not count wrong codes, for the reasons
    /// of [`find_validation`](Self::find_validation).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the code is unknown, used or expired.
    pub async fn find_reset(&self, code: &Secret) -> Result<PendingReset> {
        let code = self.codes.read(code.expose()).ok_or_else(no_such_code)?;
        let row = self.db().read_opt(&sql::FIND_RESET, &[&code]).await?.ok_or_else(no_such_code)?;
        Ok(PendingReset { username: stored(&row, "username"), has_password: row.get("has_password") })
    }

    /// Sets a new password with a code. Ends all sessions of the user.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the code is unknown, used, expired, or older than the last change of the account;
    /// [`ErrorKind::WeakPassword`], after which the code is still valid; [`ErrorKind::RateLimited`] after 100 wrong
    /// codes from one remote address; [`ErrorKind::Overloaded`].
    pub async fn reset_password(&self, caller: &Caller, reset: PasswordReset) -> Result<()> {
        let work = async {
            let password = reset.password.clone();
            let reset = self.prepare_reset(caller, reset).await?;
            self.journal.write(caller, async |tx| set_by_code(tx, self, &reset).await).await?;
            self.passwords.fallback.offer(reset.user, &reset.phc, &[password.as_secret()]);
            Ok(())
        };
        self.passwords.limiter.guess_code(caller, work).await
    }

    /// Checks a reset and hashes its password, outside of a transaction.
    /// [`UsersWithin::reset_password`](crate::engine::UsersWithin::reset_password) then performs it.
    ///
    /// # Errors
    /// As [`reset_password`](Self::reset_password).
    pub async fn prepare_reset(&self, caller: &Caller, reset: PasswordReset) -> Result<PreparedReset> {
        let code = self.codes.read(reset.code.expose()).ok_or_else(no_such_code)?;
        let found = code::find(self.db(), code).await?.filter(|code| code.is_for(Purpose::Reset));
        let StoredCode { user, email, .. } = found.ok_or_else(no_such_code)?;
        let account = find_changeable(self.db(), user).await.map_err(unless_gone)?;
        let (password, inputs) = (reset.password.as_secret().normalized(), account.password_inputs(None));
        let phc = self.passwords.passwords.admit(caller.hash_requester(), password, inputs).await?;
        Ok(PreparedReset { code, user, phc, email })
    }
}

/// The account of a code that sets a password.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct PendingReset {
    /// The name of the user.
    pub username: Username,
    /// Whether the user has a password, which the new one replaces. Otherwise the code is that of an invitation.
    pub has_password: bool,
}

/// A checked reset: its code was valid when it was checked, and the password is strong and hashed.
#[derive(Debug)]
pub struct PreparedReset {
    code: Uuid,
    user: UserId,
    phc: String,
    /// The address that the code was sent to.
    email: Option<Email>,
}

pub(in crate::engine) async fn set_by_code(tx: &Tx<'_>, users: &Users, reset: &PreparedReset) -> Result<Event> {
    let PreparedReset { code, user, phc, email } = reset;
    if let Some(email) = email {
        claim::lock(tx, Some(*user), email).await?;
    }
    lock_live(tx, *user).await.map_err(unless_gone)?;
    code::take(tx, *code).await?.ok_or_else(no_such_code)?;
    if let Some(email) = email {
        // The bearer of the code has access to the mailbox. Other accounts with the address stay unchanged: one of them
        // may belong to the owner, and a reset of an account that got the address later must not destroy it.
        confirm(tx, *user, email).await?;
    }
    let event = set_password(tx, &users.passwords.limiter, &tx.by_secret(), *user, phc, SessionEffect::Ended).await?;
    Ok(event.detail(json!({ "reset": true })))
}

pub(in crate::engine) async fn send_reset(tx: &Tx<'_>, users: &Users, user: UserId) -> Result<Event> {
    let (actor, subject) = tx.prove_on(user).await?;
    actor.require_power_over(subject.live()?.level)?;
    let row = sql::FIND_ADDRESS.row(tx, &[user.as_uuid()]).await?;
    let row = row
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "the user has no address: another account has confirmed it"))?;
    let lifetime = match row.get("has_password") {
        true => Purpose::Reset.lifetime(),
        false => users.invitation_ttl,
    };
    mail_code(tx, &actor, user, &stored(&row, "email"), lifetime).await
}

/// Creates a code that sets a password, and returns the event that has it mailed.
pub(super) async fn mail_code(
    tx: &Transaction<'_>,
    actor: &Actor,
    user: UserId,
    email: &Email,
    lifetime: Duration,
) -> Result<Event> {
    let code = code::create_for(tx, user, Purpose::Reset, Some(email), lifetime).await?;
    Ok(Event::new(EventKind::ResetRequested, actor).about(user).detail(json!({ "code_id": code })))
}

/// Creates a code that is not mailed; its event does not contain its ID.
pub(in crate::engine) async fn create_reset(tx: &Tx<'_>, users: &Users, user: UserId) -> Result<Written<Secret>> {
    let (actor, subject) = tx.prove_on(user).await?;
    actor.require_power_over(subject.live()?.level)?;
    let code = code::create(tx, user, Purpose::Reset, None).await?;
    Ok(Written::new(users.codes.write(code), Event::new(EventKind::ResetRequested, &actor).about(user)))
}
