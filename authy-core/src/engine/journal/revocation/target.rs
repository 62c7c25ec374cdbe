//! The tokens that a change revokes, and their rows.

use chrono::{DateTime, Utc};
use tokio_postgres::Transaction;

use super::sql;
use crate::{
    Result, SessionId, UserId,
    revocation::{IdHash, Revocation, RevokedTokens},
    time::to_second,
};

/// Tokens that a change revokes, by the IDs that only the engine knows.
#[derive(Clone, Debug)]
pub(in crate::engine) enum RevocationTarget {
    /// All tokens of a user whose epoch is older than this one.
    User { public_id: UserId, ver: u64 },
    /// All tokens of a session.
    Session { session_id: SessionId },
    /// All tokens of a session that the database has lost, none of which expires later than this.
    LostSession { session_id: SessionId, expires: DateTime<Utc> },
    /// All tokens that a key signed.
    Key { kid: String },
}

impl From<RevocationTarget> for RevokedTokens {
    fn from(target: RevocationTarget) -> Self {
        match target {
            RevocationTarget::User { public_id, ver } => Self::User { user: IdHash::of_user(public_id), ver },
            RevocationTarget::Session { session_id } | RevocationTarget::LostSession { session_id, .. } => {
                Self::Session { session: IdHash::of_session(session_id) }
            }
            RevocationTarget::Key { kid } => Self::Key { kid },
        }
    }
}

/// Writes revocations. Returns those whose tokens have not all expired.
pub(in crate::engine) async fn revoke(tx: &Transaction<'_>, targets: Vec<RevocationTarget>) -> Result<Vec<Revocation>> {
    let mut revoked = Vec::with_capacity(targets.len());
    for target in targets {
        let row = match &target {
            RevocationTarget::Session { session_id } => sql::REVOKE_SESSION.row(tx, &[session_id.as_uuid()]).await?,
            RevocationTarget::LostSession { session_id, expires } => {
                sql::REVOKE_LOST_SESSION.row(tx, &[session_id.as_uuid(), expires]).await?
            }
            RevocationTarget::User { public_id, ver } => {
                sql::REVOKE_USER.row(tx, &[public_id.as_uuid(), &ver.cast_signed()]).await?
            }
            RevocationTarget::Key { kid } => sql::REVOKE_KEY.row(tx, &[kid]).await?,
        };
        if let Some(row) = row {
            revoked.push(Revocation { tokens: target.into(), until: to_second(row.get("until")) });
        }
    }
    Ok(revoked)
}
