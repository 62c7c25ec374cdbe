//! One-time codes: what a mail carries to show that it arrived.
//!
//! A code is a MAC over the id of its row and is computed whenever it is needed, so what is stored opens nothing. It works
//! once, for a while, and not after the account has changed in any way.

use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::{
    Authy,
    db::{Db, db_error},
    master::MacKeys,
    user,
};
use crate::{Email, Error, ErrorKind, Result, Secret, UserId};

pub(super) mod sql;

/// How long a new account has to confirm its address: a weekend away costs nobody the account.
pub(super) const VALIDATION_LIFETIME: Duration = Duration::from_secs(3 * 24 * 3600);

/// How long a new address has to be confirmed.
pub(super) const EMAIL_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How long a password can be reset with a code: it is as good as the password while it lives.
pub(super) const RESET_LIFETIME: Duration = Duration::from_secs(3600);

/// How many characters of a code are the id of its row.
const ID_LENGTH: usize = 22;

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To confirm the address of a new account.
    Validate,
    /// To confirm a new address of an account, which is in force from then on.
    Email,
    /// To choose a new password.
    Reset,
}

impl Purpose {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Email => "email",
            Self::Reset => "reset",
        }
    }

    pub(super) fn lifetime(self) -> Duration {
        match self {
            Self::Validate => VALIDATION_LIFETIME,
            Self::Email => EMAIL_LIFETIME,
            Self::Reset => RESET_LIFETIME,
        }
    }
}

/// A code that works.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) user: UserId,
    pub(super) purpose: String,
    /// The address it went to; none when it was handed to an operator.
    pub(super) email: Option<Email>,
}

impl Code {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            user: user::id(row, "user_id"),
            purpose: row.get("purpose"),
            email: row.get::<_, Option<String>>("email").map(user::checked).transpose()?,
        })
    }

    pub(super) fn is_for(&self, purpose: Purpose) -> bool {
        self.purpose == purpose.as_str()
    }
}

impl Authy {
    /// The code of a row, as a mail carries it.
    pub(super) fn code_text(&self, id: Uuid) -> Secret {
        write(self.code_mac(), id)
    }

    /// The row of a code; `None` when we did not make it, which takes no database to find out.
    pub(super) fn read_code(&self, text: &str) -> Option<Uuid> {
        read(self.code_mac(), text)
    }
}

/// The code of a row.
pub(super) fn write(keys: &MacKeys, id: Uuid) -> Secret {
    let id = BASE64_URL_SAFE_NO_PAD.encode(id.as_bytes());
    Secret::new(format!("{id}{}", keys.sign(&id)))
}

/// The row of what [`write`] wrote; `None` for everything else.
pub(super) fn read(keys: &MacKeys, text: &str) -> Option<Uuid> {
    let (id, mac) = text.split_at_checked(ID_LENGTH)?;
    if !keys.verifies(id, mac) {
        return None;
    }
    Uuid::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(id).ok()?).ok()
}

/// Makes a code of a user's; the id of its row.
pub(super) async fn create(
    tx: &Transaction<'_>,
    user: UserId,
    purpose: Purpose,
    email: Option<&Email>,
) -> Result<Uuid> {
    let id = Uuid::new_v4();
    let (text, key) = (email.map(Email::as_str), email.map(Email::key));
    let lifetime = purpose.lifetime().as_secs_f64();
    let params: super::db::Params<'_> = &[&id, user.as_uuid(), &purpose.as_str(), &text, &key, &lifetime];
    sql::CREATE.execute(tx, params).await.map_err(db_error)?;
    Ok(id)
}

/// A code that works still.
pub(super) async fn find(db: &Db, id: Uuid) -> Result<Option<Code>> {
    db.read_opt(&sql::FIND, &[&id]).await?.as_ref().map(Code::of).transpose()
}

/// Uses a code up; `None` when it does not work any more. Of many who try at once, one gets it.
pub(super) async fn take(tx: &Transaction<'_>, id: Uuid) -> Result<Option<Code>> {
    sql::TAKE.row(tx, &[&id]).await?.as_ref().map(Code::of).transpose()
}

/// How long it is remembered that a code has confirmed an address: who opens an old mail again after that is told that the code
/// is not known.
pub(super) const SPENT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// Remembers a code that has confirmed the address that its user has now.
pub(super) async fn spend(tx: &Transaction<'_>, id: Uuid, code: &Code) -> Result<()> {
    let params: super::db::Params<'_> = &[&id, code.user.as_uuid(), &code.purpose];
    sql::SPEND.execute(tx, params).await.map(drop).map_err(db_error)
}

/// Forgets the codes that confirmed an address of a user, who has it no more.
pub(super) async fn forget_spent(tx: &Transaction<'_>, user: UserId) -> Result<()> {
    sql::FORGET_SPENT_OF.execute(tx, &[user.as_uuid()]).await.map(drop).map_err(db_error)
}

/// A code that has confirmed the address that its user still has.
pub(super) async fn find_spent(db: &Db, id: Uuid) -> Result<Option<Code>> {
    db.read_opt(&sql::FIND_SPENT, &[&id]).await?.as_ref().map(Code::of).transpose()
}

/// Voids the codes of a user for one purpose, or all.
pub(super) async fn void(tx: &Transaction<'_>, user: UserId, purpose: Option<Purpose>) -> Result<()> {
    let purpose = purpose.map(Purpose::as_str);
    sql::VOID.execute(tx, &[user.as_uuid(), &purpose]).await.map(drop).map_err(db_error)
}

pub(super) fn no_such_code() -> Error {
    Error::new(ErrorKind::NotFound, "this code is unknown, was used, or has expired")
}

/// The code of a user who is gone is as good as none.
pub(super) fn unless_gone(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::AlreadyDeleted => no_such_code(),
        _ => error,
    }
}
