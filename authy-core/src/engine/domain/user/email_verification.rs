//! Confirms email addresses with the codes that were sent to them.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::{Transaction, error::SqlState};
use uuid::Uuid;

use super::{Users, claim, sql};
use crate::{
    Email, Error, ErrorKind, Result, Secret, UserId,
    api::{
        account::{Validated, ValidationPurpose, ValidationView},
        event::EventKind,
    },
    engine::{
        domain::{
            code::{self, Codes, Purpose, StoredCode, no_such_code, unless_gone},
            epoch::{SessionEffect, apply_account_change},
            erased_name::ErasedNames,
        },
        journal::{
            actor::{Actor, lock_live, no_such_user},
            caller::Caller,
            event::Event,
            write::{Journal, Tx, Written},
        },
        storage::{connector::db_error, db::Db, row::stored, statement::Params},
    },
};

/// Maximum number of codes per account and hour.
const CODES_AN_HOUR: i64 = 5;

/// The authentication of a caller who requests a new code.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Authenticated {
    /// A token, which the transaction proves again.
    ByToken,
    /// The correct password, just before.
    ByPassword,
}

/// The result of a request for a new code.
pub(in crate::engine) enum Sent {
    /// The code will be sent, or the address is already confirmed.
    Code,
    /// Too many codes were sent.
    TooMany,
    /// Another account has confirmed the address.
    AddressLost,
}

impl Users {
    /// Confirms an address with the code that was mailed to it. A code that has already confirmed the address changes
    /// nothing; the result indicates that.
    ///
    /// All other accounts that have the address unconfirmed lose it, and their sessions end.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the code is unknown, expired, or older than the last change of the account;
    /// [`ErrorKind::AlreadyRegistered`] when another account has confirmed the address meanwhile;
    /// [`ErrorKind::RateLimited`] after 100 wrong codes from one remote address.
    pub async fn validate(&self, caller: &Caller, code: &Secret) -> Result<Validated> {
        self.passwords.limiter.guess_code(caller, self.confirm_by_code(caller, code)).await
    }

    async fn confirm_by_code(&self, caller: &Caller, code: &Secret) -> Result<Validated> {
        let (id, code) = match find_code(self.db(), &self.codes, code).await? {
            FoundCode::Open(id, code) => (id, code),
            FoundCode::Spent(code) => return Ok(confirmed(code.user, true)),
        };
        let taken = self.journal.write(caller, async |tx| {
            Ok(match use_code(tx, &self.erased, id, &code).await? {
                Some(event) => Written::new(true, event),
                None => Written::unchanged(false),
            })
        });
        if !taken.await? {
            // A concurrent request was first, probably from the same click.
            let spent = code::find_spent(self.db(), id).await?.ok_or_else(no_such_code)?;
            return Ok(confirmed(spent.user, true));
        }
        Ok(confirmed(code.user, false))
    }

    /// Returns the purpose of a code that confirms an address, and whether it has already done so. Changes nothing, and
    /// does not count wrong codes: otherwise a page full of images could prevent all users behind a remote address from
    /// logging in. A code contains a MAC, so a wrong one never reaches the database, and guessing is useless.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the code is unknown, used or expired.
    pub async fn find_validation(&self, code: &Secret) -> Result<ValidationView> {
        let (code, already_confirmed) = match find_code(self.db(), &self.codes, code).await? {
            FoundCode::Open(_, code) => (code, false),
            FoundCode::Spent(code) => (code, true),
        };
        let email = code.email.as_ref().ok_or_else(no_such_code)?;
        let purpose = match code.is_for(Purpose::Email) {
            true => ValidationPurpose::NewAddress,
            false => ValidationPurpose::SignUp,
        };
        Ok(ValidationView { email_hint: hint(email), purpose, already_confirmed })
    }

    /// Sends the caller a new code to confirm the address, unless it is already confirmed. Revokes earlier codes.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`] without a token; [`ErrorKind::RateLimited`] after five codes within an hour;
    /// [`ErrorKind::AlreadyRegistered`] when another account has confirmed the address.
    pub async fn resend_validation(&self, caller: &Caller) -> Result<()> {
        let user = caller.require_identity()?.public_id;
        match send_validation(&self.journal, caller, user, Authenticated::ByToken).await? {
            Sent::Code => Ok(()),
            Sent::TooMany => {
                let error =
                    Error::new(ErrorKind::RateLimited, "too many codes were sent: use the last one, or wait an hour");
                Err(error.with_retry_after(Duration::from_secs(3600)))
            }
            Sent::AddressLost => Err(Error::new(
                ErrorKind::AlreadyRegistered,
                "another account has confirmed this address: choose another one",
            )),
        }
    }
}

/// A code that was found.
enum FoundCode {
    /// It is valid.
    Open(Uuid, StoredCode),
    /// It has already confirmed the current address of its user.
    Spent(StoredCode),
}

/// Finds a code that confirms an address, or has done so, before any row is locked.
async fn find_code(db: &Db, codes: &Codes, code: &Secret) -> Result<FoundCode> {
    let id = codes.read(code.expose()).ok_or_else(no_such_code)?;
    match code::find(db, id).await? {
        Some(code) if code.is_for(Purpose::Reset) => Err(no_such_code()),
        Some(code) => Ok(FoundCode::Open(id, code)),
        None => Ok(FoundCode::Spent(code::find_spent(db, id).await?.ok_or_else(no_such_code)?)),
    }
}

/// Confirms an address within a transaction of the embedding program.
pub(in crate::engine) async fn validate(tx: &Tx<'_>, users: &Users, code: &Secret) -> Result<Written<Validated>> {
    match find_code(users.db(), &users.codes, code).await? {
        FoundCode::Spent(code) => Ok(Written::unchanged(confirmed(code.user, true))),
        FoundCode::Open(id, code) => {
            let event = use_code(tx, &users.erased, id, &code).await?.ok_or_else(no_such_code)?;
            Ok(Written::new(confirmed(code.user, false), event))
        }
    }
}

/// Uses up a code; `None` when a concurrent request has used it since it was found.
async fn use_code(tx: &Tx<'_>, erased: &ErasedNames, id: Uuid, found: &StoredCode) -> Result<Option<Event>> {
    let actor = tx.by_secret();
    let user = found.user;
    let email = found.email.as_ref().ok_or_else(no_such_code)?;
    // Always locks the users first, then their other rows.
    claim::lock(tx, Some(user), email).await?;
    lock_live(tx, user).await.map_err(unless_gone)?;
    let Some(taken) = code::take(tx, id).await? else { return Ok(None) };
    let event = if taken.is_for(Purpose::Email) {
        set_email(tx, erased, &actor, user, email).await?
    } else {
        confirm(tx, user, email).await?;
        let revoked = claim::release(tx, user, email).await?;
        code::revoke(tx, user, Some(Purpose::Validate)).await?;
        Event::new(EventKind::UserValidated, &actor).about(user).revoking(revoked)
    };
    code::spend(tx, id, &taken).await?;
    Ok(Some(event))
}

async fn set_email(
    tx: &Transaction<'_>,
    erased: &ErasedNames,
    actor: &Actor,
    user: UserId,
    email: &Email,
) -> Result<Event> {
    let owner = sql::FIND_OWNER.row(tx, &[&erased.forms(&email.key()), user.as_uuid()]).await?;
    if owner.is_some() {
        return Err(confirmed_by_another());
    }
    let params: Params<'_> = &[user.as_uuid(), &email.as_str(), &email.key()];
    sql::SET_EMAIL.execute(tx, params).await.map_err(unless_confirmed_by_another)?;
    code::forget_spent(tx, user).await?;
    let revoked = claim::release(tx, user, email).await?;
    let event = apply_account_change(tx, actor, user, EventKind::EmailChanged, SessionEffect::Kept).await?;
    Ok(event.revoking(revoked))
}

/// Confirms the address of a user, inside of a transaction that has locked all accounts with it.
pub(super) async fn confirm(tx: &Transaction<'_>, user: UserId, email: &Email) -> Result<()> {
    let params: Params<'_> = &[user.as_uuid(), &email.key()];
    match sql::VALIDATE.execute(tx, params).await.map_err(unless_confirmed_by_another)? {
        0 => Err(no_such_code()),
        _ => Ok(()),
    }
}

/// Sends a new code, unless the address is already confirmed.
pub(in crate::engine) async fn send_validation(
    journal: &Journal,
    caller: &Caller,
    user: UserId,
    proof: Authenticated,
) -> Result<Sent> {
    journal
        .write(caller, async |tx| {
            let (actor, subject) = match proof {
                Authenticated::ByToken => tx.prove_on(user).await?,
                Authenticated::ByPassword => (tx.by_secret(), lock_live(tx, user).await?),
            };
            subject.live()?;
            let kind = EventKind::ValidationRequested;
            let row = sql::FIND_VALIDATION.row(tx, &[user.as_uuid(), &kind.as_str()]).await?;
            let row = row.ok_or_else(no_such_user)?;
            if row.get("validated") {
                return Ok(Written::unchanged(Sent::Code));
            }
            if row.get("lost") {
                return Ok(Written::unchanged(Sent::AddressLost));
            }
            if row.get::<_, i64>("sent") >= CODES_AN_HOUR {
                return Ok(Written::unchanged(Sent::TooMany));
            }
            let email: Email = stored(&row, "email");
            code::revoke(tx, user, Some(Purpose::Validate)).await?;
            let code = code::create(tx, user, Purpose::Validate, Some(&email)).await?;
            let event = Event::new(kind, &actor).about(user).detail(json!({ "code_id": code }));
            Ok(Written::new(Sent::Code, event))
        })
        .await
}

fn unless_confirmed_by_another(cause: tokio_postgres::Error) -> Error {
    match cause.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => confirmed_by_another(),
        _ => db_error(cause),
    }
}

fn confirmed_by_another() -> Error {
    Error::new(ErrorKind::AlreadyRegistered, "another account has confirmed this email address meanwhile")
}

/// Returns a part of an address that its owner recognizes.
fn hint(email: &Email) -> String {
    let (local, domain) = email.as_str().rsplit_once('@').unwrap_or_default();
    local.chars().take(1).chain("…@".chars()).chain(domain.chars()).collect()
}

fn confirmed(user: UserId, already_confirmed: bool) -> Validated {
    let message = if already_confirmed { "the address was confirmed before" } else { "the address is confirmed" };
    Validated { message: message.to_owned(), public_id: user, already_confirmed }
}
