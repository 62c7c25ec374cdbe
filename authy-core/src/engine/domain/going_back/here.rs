//! A user of this program, and what an import or an export last knew of the same user in the database of the first authy.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use crate::{
    Secret, UserId,
    engine::{
        crypto::{
            digest::digest_of,
            password::{is_werkzeug, stored::password_digest},
        },
        domain::fallback_hash::FallbackHashes,
        storage::row::user_id,
    },
};

/// The column of the first authy has no room for more characters.
const MAX_HASH: usize = 200;

/// The domain of addresses that stand for none. It never exists (RFC 2606).
const NO_ADDRESS: &str = "@authy.invalid";

/// A user here.
pub(super) struct Here {
    pub(super) user: UserId,
    pub(super) username: String,
    /// The address, unless it stands for none.
    pub(super) email: Option<String>,
    email_key: String,
    pub(super) created: DateTime<Utc>,
    pub(super) last_login: Option<DateTime<Utc>>,
    pub(super) is_validated: bool,
    pub(super) deleted_at: Option<DateTime<Utc>>,
    pub(super) is_erased: bool,
    /// When the password was set; `None` without a password.
    pub(super) password_set: Option<DateTime<Utc>>,
    /// A hash of the password that the first authy understands.
    pub(super) hash: Option<Secret>,
    /// In no order.
    pub(super) roles: Vec<i32>,
    pub(super) base: Option<Base>,
    /// What an export was about to write that was interrupted.
    pub(super) intent: Option<Base>,
}

/// What was here and there when the user was last imported or exported.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Base {
    /// The ID there.
    pub(super) source_id: String,
    /// The digests of the password and of the address there.
    pub(super) password_digest: Option<Vec<u8>>,
    pub(super) email_digest: Option<Vec<u8>>,
    /// When the password was set here.
    pub(super) password_set: Option<DateTime<Utc>>,
    /// The digest of the key of the address here.
    pub(super) email_written: Option<Vec<u8>>,
    pub(super) is_deleted: bool,
    /// The roles here.
    pub(super) roles: Vec<i32>,
}

impl Here {
    pub(super) fn new(row: &Row, fallback: &FallbackHashes) -> Self {
        let user = user_id(row, "public_id");
        let stored = row.get::<_, Option<String>>("phc").map(Secret::new).filter(|phc| is_werkzeug(phc.expose()));
        let kept = || fallback.open(user, row.get::<_, Option<&[u8]>>("sealed")?);
        let hash = stored.or_else(kept).filter(|hash| hash.expose().chars().count() <= MAX_HASH);
        let base = row.get::<_, Option<String>>("source_id").map(|source_id| Base {
            source_id,
            password_digest: row.get("password_digest"),
            email_digest: row.get("email_digest"),
            password_set: row.get("origin_password_set"),
            email_written: row.get("email_written"),
            is_deleted: row.get("origin_deleted"),
            roles: row.get("origin_roles"),
        });
        let intent = row.get::<_, Option<bool>>("intent_deleted").map(|is_deleted| Base {
            source_id: String::new(),
            password_digest: row.get("intent_password_digest"),
            email_digest: row.get("intent_email_digest"),
            password_set: row.get("intent_password_set"),
            email_written: row.get("intent_email_written"),
            is_deleted,
            roles: row.get("intent_roles"),
        });
        Self {
            user,
            username: row.get("username"),
            email: Some(row.get::<_, String>("email")).filter(|email| !email.ends_with(NO_ADDRESS)),
            email_key: row.get("email_key"),
            created: row.get("created"),
            last_login: row.get("last_login"),
            is_validated: row.get("validated"),
            deleted_at: row.get("deleted_at"),
            is_erased: row.get("erased"),
            password_set: row.get("password_set"),
            hash,
            roles: row.get("roles"),
            base,
            intent,
        }
    }

    /// Returns the digest of the address, as an import stores it.
    pub(super) fn email_digest(&self) -> Vec<u8> {
        digest_of(&self.email_key)
    }
}

impl Base {
    /// Returns whether the password there is still that of this state. Without a digest, which an earlier version of this program
    /// wrote and was deleted, it is taken as that.
    pub(super) fn has_password(&self, hash: &str) -> bool {
        self.password_digest.as_ref().is_none_or(|digest| *digest == password_digest(Some(hash)))
    }
}
