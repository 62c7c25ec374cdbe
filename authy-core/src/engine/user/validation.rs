//! Confirming an address with the code that went to it.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::{
    api::account::Validated,
    engine::code::{self, Purpose, no_such_code, unless_gone},
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
    /// Confirms an address with the code that went to it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the code is unknown, spent, expired, or older than the last change of the account;
    /// [`ErrorKind::AlreadyRegistered`] when somebody else took the new address meanwhile; [`ErrorKind::RateLimited`] after a
    /// hundred wrong codes from one address.
    pub async fn validate(&self, caller: &Caller, code: &Secret) -> Result<Validated> {
        self.guess_code(caller, self.confirm(caller, code)).await
    }

    async fn confirm(&self, caller: &Caller, code: &Secret) -> Result<Validated> {
        let (id, user) = self.look_up(code).await?;
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let event = self.take_validation(write.tx(), caller, id, user).await?;
        self.commit(write, event).await?;
        Ok(confirmed(user))
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
            let (id, user) = self.look_up(code).await?;
            Ok((confirmed(user), self.take_validation(tx, caller, id, user).await?))
        })
        .await
    }

    async fn take_validation<'a>(
        &self,
        tx: &Transaction<'_>,
        caller: &'a Caller,
        id: Uuid,
        user: UserId,
    ) -> Result<Event<'a>> {
        let actor = Actor::by_secret(caller);
        // Always the user first, then what belongs to the user.
        lock_live(tx, user).await.map_err(unless_gone)?;
        let taken = code::take(tx, id).await?.ok_or_else(no_such_code)?;
        let email = taken.email.as_ref().filter(|_| !taken.is_for(Purpose::Reset)).ok_or_else(no_such_code)?;
        let event = if taken.is_for(Purpose::Email) {
            self.set_email(tx, &actor, user, email).await?
        } else {
            sql::VALIDATE.execute(tx, &[user.as_uuid(), &email.key()]).await.map_err(db_error)?;
            code::void(tx, user, Some(Purpose::Validate)).await?;
            Event::new(EventKind::UserValidated, &actor).about(user)
        };
        Ok(event)
    }

    /// The row of a code that confirms an address, and whose it is, before anything is held for it.
    async fn look_up(&self, code: &Secret) -> Result<(Uuid, UserId)> {
        let id = self.read_code(code.expose()).ok_or_else(no_such_code)?;
        let found = code::find(self.db(), id).await?.filter(|code| !code.is_for(Purpose::Reset));
        Ok((id, found.ok_or_else(no_such_code)?.user))
    }

    async fn set_email<'a>(
        &self,
        tx: &Transaction<'_>,
        actor: &Actor<'a>,
        user: UserId,
        email: &Email,
    ) -> Result<Event<'a>> {
        const TAKEN: &str = "somebody else has taken this email meanwhile";
        self.require_free(tx, user, email, TAKEN).await?;
        let params: Params<'_> = &[user.as_uuid(), &email.as_str(), &email.key()];
        sql::SET_EMAIL.execute(tx, params).await.map_err(|cause| match cause.code() {
            Some(&SqlState::UNIQUE_VIOLATION) => Error::new(ErrorKind::AlreadyRegistered, TAKEN),
            _ => db_error(cause),
        })?;
        door::pass(tx, actor, user, EventKind::EmailChanged, Sessions::Kept).await
    }

    /// Whether a code that confirms an address works still; whose it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it does not; [`ErrorKind::RateLimited`].
    pub async fn find_validation(&self, caller: &Caller, code: &Secret) -> Result<UserId> {
        let (_, user) = self.guess_code(caller, self.look_up(code)).await?;
        Ok(user)
    }

    /// Sends the caller a fresh code to confirm the address with, unless that is done. The one before is void.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] after five in an hour.
    pub async fn resend_validation(&self, caller: &Caller) -> Result<()> {
        let user = caller.id().ok_or_else(|| Error::new(ErrorKind::TokenRequired, "this needs a token"))?;
        match self.send_validation(caller, user, Shown::Token).await? {
            true => Ok(()),
            false => {
                let error =
                    Error::new(ErrorKind::RateLimited, "so many codes were sent already: look for the last one");
                Err(error.retry_after(Duration::from_secs(3600)))
            }
        }
    }

    /// Sends a fresh code; `false` when enough were sent.
    pub(in crate::engine) async fn send_validation(&self, caller: &Caller, user: UserId, shown: Shown) -> Result<bool> {
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
            return Ok(true);
        }
        if row.get::<_, i64>("sent") >= CODES_AN_HOUR {
            return Ok(false);
        }
        let email: Email = checked(row.get("email"))?;
        code::void(tx, user, Some(Purpose::Validate)).await?;
        let code = code::create(tx, user, Purpose::Validate, Some(&email)).await?;
        let event = Event::new(kind, &actor).about(user).detail(json!({ "code_id": code }));
        self.commit(write, event).await?;
        Ok(true)
    }
}

fn confirmed(user: UserId) -> Validated {
    Validated { message: "the address is confirmed".to_owned(), public_id: user }
}
