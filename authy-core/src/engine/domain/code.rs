//! One-time codes, which are sent by mail to prove that the address is reachable.
//!
//! A code is a MAC of the ID of its row, computed when it is needed, so the stored data is useless to a thief. A code
//! works once, for a limited time, and only until the account changes.

use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use crate::{
    Email, Error, ErrorKind, Result, Secret, UserId,
    engine::{
        crypto::{mac::MacKeys, master::MasterKeys},
        storage::{connector::db_error, db::Db, row::user_id, statement::Params},
    },
    name::Stored as _,
};

pub(in crate::engine) mod sql;

/// Time to confirm the address of a new account: longer than a weekend.
const VALIDATION_LIFETIME: Duration = Duration::from_secs(3 * 24 * 3600);

/// Time to confirm a new address.
const EMAIL_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Time to reset a password with a code, other than that of an invitation: short, because the code is as powerful as the password.
const RESET_LIFETIME: Duration = Duration::from_secs(3600);

/// The number of characters of a code that contain the ID of its row.
const ID_LENGTH: usize = 22;

/// The purpose of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Purpose {
    /// Confirms the address of a new account.
    Validate,
    /// Confirms a new address of an account, which takes effect then.
    Email,
    /// Permits setting a new password.
    Reset,
}

impl Purpose {
    pub(in crate::engine) fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Email => "email",
            Self::Reset => "reset",
        }
    }

    pub(in crate::engine) fn lifetime(self) -> Duration {
        match self {
            Self::Validate => VALIDATION_LIFETIME,
            Self::Email => EMAIL_LIFETIME,
            Self::Reset => RESET_LIFETIME,
        }
    }
}

/// The row of a valid code.
#[derive(Debug)]
pub(in crate::engine) struct StoredCode {
    pub(in crate::engine) user: UserId,
    pub(in crate::engine) purpose: String,
    /// The address that it was sent to; `None` when it was returned to an operator.
    pub(in crate::engine) email: Option<Email>,
}

impl StoredCode {
    fn of(row: &Row) -> Self {
        Self {
            user: user_id(row, "user_id"),
            purpose: row.get("purpose"),
            email: row.get::<_, Option<String>>("email").map(Email::stored),
        }
    }

    pub(in crate::engine) fn is_for(&self, purpose: Purpose) -> bool {
        self.purpose == purpose.as_str()
    }
}

/// Writes and reads one-time codes.
#[derive(Clone)]
pub(in crate::engine) struct Codes(MacKeys);

impl Codes {
    pub(in crate::engine) fn new(keys: &MasterKeys) -> Result<Self> {
        Ok(Self(MacKeys::new(keys, "authy one-time codes")?))
    }

    /// Returns the code of a row, as it is mailed.
    pub(in crate::engine) fn write(&self, id: Uuid) -> Secret {
        let id = BASE64_URL_SAFE_NO_PAD.encode(id.as_bytes());
        Secret::new(format!("{id}{}", self.0.sign(&id)))
    }

    /// Returns the row of a code; `None` for a text that [`write`](Self::write) did not return. Does not query the
    /// database.
    pub(in crate::engine) fn read(&self, text: &str) -> Option<Uuid> {
        let (id, mac) = text.split_at_checked(ID_LENGTH)?;
        if !self.0.verifies(id, mac) {
            return None;
        }
        Uuid::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(id).ok()?).ok()
    }
}

/// Creates a code for a user, with the lifetime of its purpose. Returns the ID of its row.
pub(in crate::engine) async fn create(
    tx: &Transaction<'_>,
    user: UserId,
    purpose: Purpose,
    email: Option<&Email>,
) -> Result<Uuid> {
    create_for(tx, user, purpose, email, purpose.lifetime()).await
}

/// Creates a code with another lifetime.
pub(in crate::engine) async fn create_for(
    tx: &Transaction<'_>,
    user: UserId,
    purpose: Purpose,
    email: Option<&Email>,
    lifetime: Duration,
) -> Result<Uuid> {
    let id = Uuid::new_v4();
    let (text, key) = (email.map(Email::as_str), email.map(Email::key));
    let params: Params<'_> = &[&id, user.as_uuid(), &purpose.as_str(), &text, &key, &lifetime.as_secs_f64()];
    sql::CREATE.execute(tx, params).await.map_err(db_error)?;
    Ok(id)
}

/// Finds a code that is still valid.
pub(in crate::engine) async fn find(db: &Db, id: Uuid) -> Result<Option<StoredCode>> {
    Ok(db.read_opt(&sql::FIND, &[&id]).await?.as_ref().map(StoredCode::of))
}

/// Uses up a code; `None` when it is no longer valid. Of several concurrent attempts, one succeeds.
pub(in crate::engine) async fn take(tx: &Transaction<'_>, id: Uuid) -> Result<Option<StoredCode>> {
    Ok(sql::TAKE.row(tx, &[&id]).await?.as_ref().map(StoredCode::of))
}

/// Time for which a code that confirmed an address is remembered. After that, another click on the link in the mail is
/// answered as an unknown code.
pub(in crate::engine) const SPENT_CODE_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Stores that a code has confirmed the current address of its user.
pub(in crate::engine) async fn spend(tx: &Transaction<'_>, id: Uuid, code: &StoredCode) -> Result<()> {
    let params: Params<'_> = &[&id, code.user.as_uuid(), &code.purpose];
    sql::SPEND.execute(tx, params).await.map(drop).map_err(db_error)
}

/// Deletes the codes that confirmed a former address of a user.
pub(in crate::engine) async fn forget_spent(tx: &Transaction<'_>, user: UserId) -> Result<()> {
    sql::FORGET_SPENT_OF.execute(tx, &[user.as_uuid()]).await.map(drop).map_err(db_error)
}

/// Finds a code that has already confirmed the current address of its user.
pub(in crate::engine) async fn find_spent(db: &Db, id: Uuid) -> Result<Option<StoredCode>> {
    Ok(db.read_opt(&sql::FIND_SPENT, &[&id]).await?.as_ref().map(StoredCode::of))
}

/// Revokes the codes of a user for one purpose, or all.
pub(in crate::engine) async fn revoke(tx: &Transaction<'_>, user: UserId, purpose: Option<Purpose>) -> Result<()> {
    let purpose = purpose.map(Purpose::as_str);
    sql::REVOKE.execute(tx, &[user.as_uuid(), &purpose]).await.map(drop).map_err(db_error)
}

pub(in crate::engine) fn no_such_code() -> Error {
    Error::new(ErrorKind::NotFound, "this code is unknown, was used, or has expired")
}

/// Makes the error for a code of a deleted user equal to that for an unknown code.
pub(in crate::engine) fn unless_gone(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::AlreadyDeleted => no_such_code(),
        _ => error,
    }
}
