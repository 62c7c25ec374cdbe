//! Confirming an address with the code that went to it.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::{
    api::account::{Validated, ValidationPurpose, ValidationView},
    engine::code::{self, Code, Purpose, no_such_code, unless_gone},
};

/// How many codes a user is sent in an hour.
const CODES_AN_HOUR: i64 = 5;

/// What somebody has shown who is sent a fresh code.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Shown {
    /// A token, which the transaction proves again.
    Token,
    /// The right password, just now.
    Password,
}

impl Authy {
    /// Confirms an address with the code that was mailed to it. A code that has already confirmed it changes nothing, and the
    /// result says so.
    ///
    /// All other accounts with the address, which had not confirmed it, lose it, and their sessions end.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the code is unknown, expired, or older than the last change of the account;
    /// [`ErrorKind::AlreadyRegistered`] when somebody else has confirmed the address meanwhile; [`ErrorKind::RateLimited`] after a
    /// hundred wrong codes from one address.
    pub async fn validate(&self, caller: &Caller, code: &Secret) -> Result<Validated> {
        self.guess_code(caller, self.confirm(caller, code)).await
    }

    async fn confirm(&self, caller: &Caller, code: &Secret) -> Result<Validated> {
        let (id, code) = match self.look_up(code).await? {
            Found::Open(id, code) => (id, code),
            Found::Spent(code) => return Ok(confirmed(code.user, true)),
        };
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        match self.take_validation(write.tx(), caller, id, &code).await? {
            Some(event) => self.commit(write, event).await?,
            None => {
                drop(write);
                // Somebody else was first: with the same click, most likely.
                let spent = code::find_spent(self.db(), id).await?.ok_or_else(no_such_code)?;
                return Ok(confirmed(spent.user, true));
            }
        }
        Ok(confirmed(code.user, false))
    }

    /// [`validate`](Self::validate) in a transaction of the caller's. Wrong codes are not counted.
    ///
    /// # Errors
    /// As there.
    pub async fn validate_in(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        code: &Secret,
    ) -> Result<Uncommitted<Validated>> {
        join_with(tx, async {
            match self.look_up(code).await? {
                Found::Spent(code) => Ok((confirmed(code.user, true), None)),
                Found::Open(id, code) => {
                    let event = self.take_validation(tx, caller, id, &code).await?.ok_or_else(no_such_code)?;
                    Ok((confirmed(code.user, false), Some(event)))
                }
            }
        })
        .await
    }

    /// Uses a code up; `None` when somebody else has done so since it was looked up.
    async fn take_validation<'a>(
        &self,
        tx: &Transaction<'_>,
        caller: &'a Caller,
        id: Uuid,
        found: &Code,
    ) -> Result<Option<Event<'a>>> {
        let actor = Actor::by_secret(caller);
        let user = found.user;
        let email = found.email.as_ref().ok_or_else(no_such_code)?;
        // Always the users first, then what belongs to them.
        claim::lock(tx, user, email).await?;
        lock_live(tx, user).await.map_err(unless_gone)?;
        let Some(taken) = code::take(tx, id).await? else { return Ok(None) };
        let event = if taken.is_for(Purpose::Email) {
            self.set_email(tx, &actor, user, email).await?
        } else {
            let void = confirm(tx, user, email).await?;
            code::void(tx, user, Some(Purpose::Validate)).await?;
            Event::new(EventKind::UserValidated, &actor).about(user).voiding_all(void)
        };
        code::spend(tx, id, &taken).await?;
        Ok(Some(event))
    }

    /// A code that confirms an address, or has done so, before anything is held for it.
    async fn look_up(&self, code: &Secret) -> Result<Found> {
        let id = self.read_code(code.expose()).ok_or_else(no_such_code)?;
        match code::find(self.db(), id).await? {
            Some(code) if code.is_for(Purpose::Reset) => Err(no_such_code()),
            Some(code) => Ok(Found::Open(id, code)),
            None => Ok(Found::Spent(code::find_spent(self.db(), id).await?.ok_or_else(no_such_code)?)),
        }
    }

    async fn set_email<'a>(
        &self,
        tx: &Transaction<'_>,
        actor: &Actor<'a>,
        user: UserId,
        email: &Email,
    ) -> Result<Event<'a>> {
        let owner = sql::FIND_OWNER.row(tx, &[&self.keys_of(&email.key()), user.as_uuid()]).await?;
        if owner.is_some() {
            return Err(confirmed_by_another());
        }
        let params: Params<'_> = &[user.as_uuid(), &email.as_str(), &email.key()];
        sql::SET_EMAIL.execute(tx, params).await.map_err(unless_confirmed_by_another)?;
        code::forget_spent(tx, user).await?;
        let void = claim::release(tx, user, email).await?;
        Ok(door::pass(tx, actor, user, EventKind::EmailChanged, Sessions::Kept).await?.voiding_all(void))
    }

    /// Returns what a code that confirms an address is for, and whether it has already done so. Changes nothing: not even a wrong
    /// code counts, or a page full of images could keep everybody behind an address from logging in. A code carries a MAC, so wrong
    /// ones never reach the database, and there is nothing to guess.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the code is unknown, was used or has expired.
    pub async fn find_validation(&self, code: &Secret) -> Result<ValidationView> {
        let (code, already_confirmed) = match self.look_up(code).await? {
            Found::Open(_, code) => (code, false),
            Found::Spent(code) => (code, true),
        };
        let email = code.email.as_ref().ok_or_else(no_such_code)?;
        let purpose = match code.is_for(Purpose::Email) {
            true => ValidationPurpose::NewAddress,
            false => ValidationPurpose::SignUp,
        };
        Ok(ValidationView { email_hint: hint(email), purpose, already_confirmed })
    }

    /// Sends the caller a fresh code to confirm the address with, unless that is done. The one before is void.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] after five in an hour; [`ErrorKind::AlreadyRegistered`] when somebody else has confirmed the
    /// address.
    pub async fn resend_validation(&self, caller: &Caller) -> Result<()> {
        let user = caller.id().ok_or_else(|| Error::new(ErrorKind::TokenRequired, "this needs a token"))?;
        match self.send_validation(caller, user, Shown::Token).await? {
            Resent::Sent => Ok(()),
            Resent::Enough => {
                let error =
                    Error::new(ErrorKind::RateLimited, "too many codes were sent: use the last one, or wait an hour");
                Err(error.retry_after(Duration::from_secs(3600)))
            }
            Resent::Lost => Err(Error::new(
                ErrorKind::AlreadyRegistered,
                "somebody else has confirmed this address: choose another",
            )),
        }
    }

    /// Sends a fresh code, unless the address is confirmed.
    pub(in crate::engine) async fn send_validation(
        &self,
        caller: &Caller,
        user: UserId,
        shown: Shown,
    ) -> Result<Resent> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let tx = write.tx();
        let (actor, subject) = match shown {
            Shown::Token => Actor::prove_on(tx, caller, user).await?,
            Shown::Password => (Actor::by_secret(caller), lock_live(tx, user).await?),
        };
        subject.live()?;
        let kind = EventKind::ValidationRequested;
        let row = sql::FIND_VALIDATION.row(tx, &[user.as_uuid(), &kind.as_str()]).await?.ok_or_else(no_such_user)?;
        if row.get("validated") {
            return Ok(Resent::Sent);
        }
        if row.get("lost") {
            return Ok(Resent::Lost);
        }
        if row.get::<_, i64>("sent") >= CODES_AN_HOUR {
            return Ok(Resent::Enough);
        }
        let email: Email = checked(row.get("email"))?;
        code::void(tx, user, Some(Purpose::Validate)).await?;
        let code = code::create(tx, user, Purpose::Validate, Some(&email)).await?;
        let event = Event::new(kind, &actor).about(user).detail(json!({ "code_id": code }));
        self.commit(write, event).await?;
        Ok(Resent::Sent)
    }
}

/// A code that was looked up.
enum Found {
    /// It works.
    Open(Uuid, Code),
    /// It has confirmed the address that its user has.
    Spent(Code),
}

/// What became of a code that was asked for.
pub(in crate::engine) enum Resent {
    /// It is on its way, or the address is confirmed already.
    Sent,
    /// Enough were sent.
    Enough,
    /// The address is somebody else's, who has confirmed it.
    Lost,
}

/// Confirms the address of a user, inside of a transaction that holds everybody who names it, and takes it off all others; what
/// becomes void by that.
async fn confirm(tx: &Transaction<'_>, user: UserId, email: &Email) -> Result<Vec<Void>> {
    confirm_only(tx, user, email).await?;
    claim::release(tx, user, email).await
}

/// Confirms the address of a user, inside of a transaction that holds everybody who names it.
pub(super) async fn confirm_only(tx: &Transaction<'_>, user: UserId, email: &Email) -> Result<()> {
    let params: Params<'_> = &[user.as_uuid(), &email.key()];
    match sql::VALIDATE.execute(tx, params).await.map_err(unless_confirmed_by_another)? {
        0 => Err(no_such_code()),
        _ => Ok(()),
    }
}

fn unless_confirmed_by_another(cause: tokio_postgres::Error) -> Error {
    match cause.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => confirmed_by_another(),
        _ => db_error(cause),
    }
}

fn confirmed_by_another() -> Error {
    Error::new(ErrorKind::AlreadyRegistered, "somebody else has confirmed this email meanwhile")
}

/// As much of an address as its owner recognizes it by.
fn hint(email: &Email) -> String {
    let (local, domain) = email.as_str().rsplit_once('@').unwrap_or_default();
    local.chars().take(1).chain("…@".chars()).chain(domain.chars()).collect()
}

fn confirmed(user: UserId, already_confirmed: bool) -> Validated {
    let message = if already_confirmed { "the address was confirmed before" } else { "the address is confirmed" };
    Validated { message: message.to_owned(), public_id: user, already_confirmed }
}
