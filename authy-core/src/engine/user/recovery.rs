//! Getting back in when the password is forgotten.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{validation::confirm_only, *};
use crate::{
    api::account::{ForgottenPassword, PasswordReset},
    engine::{
        code::{self, Code, Purpose, no_such_code, unless_gone},
        event::Columns,
        hasher::Asker,
    },
};

/// How long it takes to ask for a reset. What is written is the same whether or not anybody has the address; but a row that is
/// read from disk, or a page of an index that is in no cache, would tell.
const FORGOTTEN: Duration = Duration::from_millis(20);

impl Authy {
    /// Sends a code that resets the password to whoever has the address, when anybody has it: a few in an hour. It always takes
    /// the same time, some twenty milliseconds.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn forgot_password(&self, caller: &Caller, forgotten: &ForgottenPassword) -> Result<()> {
        let Columns { event_id, kind, actor, origin, ip, user_agent, request_id } =
            Event::new(EventKind::ResetRequested, &Actor::by_secret(caller)).columns();
        let (key, code, lifetime) = (forgotten.email.key(), Uuid::new_v4(), Purpose::Reset.lifetime().as_secs_f64());
        let params: Params<'_> =
            &[&key, &code, &lifetime, &event_id, &kind, &actor, &origin, &ip, &user_agent, &request_id];
        let done_at = Instant::now() + FORGOTTEN;
        let written = self.db().write(&code::sql::CREATE_RESET, params).await;
        sleep_until(done_at).await;
        written.map(drop)
    }

    /// Sends a user a code that resets the password.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyDeleted`], [`ErrorKind::BeyondYourLevel`].
    pub async fn send_reset(&self, caller: &Caller, user: UserId) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = send_reset(write.tx(), caller, user).await?;
        self.commit(write, event).await
    }

    /// [`send_reset`](Self::send_reset) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn send_reset_in(&self, tx: &Transaction<'_>, caller: &Caller, user: UserId) -> Result<Uncommitted> {
        join(tx, send_reset(tx, caller, user)).await
    }

    /// Makes a code that resets a user's password, for whoever runs the house to hand over. It is mailed to nobody.
    ///
    /// # Errors
    /// As [`send_reset`](Self::send_reset).
    pub async fn create_reset(&self, caller: &Caller, user: UserId) -> Result<Secret> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let (code, event) = create_reset(write.tx(), caller, user).await?;
        self.commit(write, event).await?;
        Ok(self.code_text(code))
    }

    /// [`create_reset`](Self::create_reset) in a transaction of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn create_reset_in(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        user: UserId,
    ) -> Result<Uncommitted<Secret>> {
        join_with(tx, async {
            let (code, event) = create_reset(tx, caller, user).await?;
            Ok((self.code_text(code), event))
        })
        .await
    }

    /// Sets a new password with a code. Every session of the user's ends.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the code is unknown, spent, expired, or older than the last change of the account;
    /// [`ErrorKind::WeakPassword`], and then the code still works; [`ErrorKind::RateLimited`] after a hundred wrong codes from one
    /// address; [`ErrorKind::Overloaded`].
    pub async fn reset_password(&self, caller: &Caller, reset: PasswordReset) -> Result<()> {
        self.guess_code(caller, self.replace_password(caller, reset)).await
    }

    async fn replace_password(&self, caller: &Caller, reset: PasswordReset) -> Result<()> {
        let reset = self.prepare_reset_for(caller.asker(), reset).await?;
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = self.reset(write.tx(), caller, &reset).await?;
        self.commit(write, event).await
    }

    /// [`reset_password`](Self::reset_password) in a transaction of the caller's. Wrong codes are not counted.
    ///
    /// # Errors
    /// As there.
    pub async fn reset_password_in(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        reset: &PreparedReset,
    ) -> Result<Uncommitted> {
        join(tx, self.reset(tx, caller, reset)).await
    }

    /// Checks and hashes, outside of a transaction; [`reset_password_in`](Self::reset_password_in) does the rest inside.
    ///
    /// # Errors
    /// As [`reset_password`](Self::reset_password).
    pub async fn prepare_reset(&self, reset: PasswordReset) -> Result<PreparedReset> {
        self.prepare_reset_for(Asker::default(), reset).await
    }

    async fn prepare_reset_for(&self, asker: Asker, reset: PasswordReset) -> Result<PreparedReset> {
        let code = self.read_code(reset.code.expose()).ok_or_else(no_such_code)?;
        let found = code::find(self.db(), code).await?.filter(|code| code.is_for(Purpose::Reset));
        let Code { user, email, .. } = found.ok_or_else(no_such_code)?;
        let account = self.find_changeable(user).await.map_err(unless_gone)?;
        let phc = self.passwords().admit(asker, reset.password.as_secret().normalized(), account.inputs(None)).await?;
        Ok(PreparedReset { code, user, username: account.username, phc, email })
    }

    async fn reset<'a>(&self, tx: &Transaction<'_>, caller: &'a Caller, reset: &PreparedReset) -> Result<Event<'a>> {
        let PreparedReset { code, user, username, phc, email } = reset;
        if let Some(email) = email {
            claim::lock(tx, *user, email).await?;
        }
        lock_live(tx, *user).await.map_err(unless_gone)?;
        code::take(tx, *code).await?.ok_or_else(no_such_code)?;
        if let Some(email) = email {
            // Who has the code has the mailbox. Other accounts that name the address are left as they are: one of them may be the
            // owner's, and somebody who names the address later must not have a reset destroy it.
            confirm_only(tx, *user, email).await?;
        }
        let event = self.set_password(tx, &Actor::by_secret(caller), *user, username, phc, Sessions::Ended).await?;
        Ok(event.detail(json!({ "reset": true })))
    }
}

/// A reset that may be made: its code worked when it was looked at, and the password is strong and hashed.
#[derive(Debug)]
pub struct PreparedReset {
    code: Uuid,
    user: UserId,
    username: Username,
    phc: String,
    /// The address that the code went to.
    email: Option<Email>,
}

async fn send_reset<'a>(tx: &Transaction<'_>, caller: &'a Caller, user: UserId) -> Result<Event<'a>> {
    let (actor, subject) = Actor::prove_on(tx, caller, user).await?;
    actor.require_power_over(subject.live()?.level)?;
    let row = sql::FIND_ADDRESS.row(tx, &[user.as_uuid()]).await?;
    let row =
        row.ok_or_else(|| Error::new(ErrorKind::NotFound, "the user has no address: somebody else confirmed it"))?;
    let email: Email = checked(row.get("email"))?;
    let code = code::create(tx, user, Purpose::Reset, Some(&email)).await?;
    Ok(Event::new(EventKind::ResetRequested, &actor).about(user).detail(json!({ "code_id": code })))
}

/// A code that is mailed to nobody, and the event that tells nobody which.
async fn create_reset<'a>(tx: &Transaction<'_>, caller: &'a Caller, user: UserId) -> Result<(Uuid, Event<'a>)> {
    let (actor, subject) = Actor::prove_on(tx, caller, user).await?;
    actor.require_power_over(subject.live()?.level)?;
    let code = code::create(tx, user, Purpose::Reset, None).await?;
    Ok((code, Event::new(EventKind::ResetRequested, &actor).about(user)))
}
