//! Reads revocations from the database.
//!
//! A poll reads again everything since the oldest transaction that was running at the previous poll. So a transaction
//! that commits late is not skipped, and reading a revocation twice is harmless. NOTIFY only makes the next poll
//! earlier.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{RevocationBatch, sql, target::RevocationTarget};
use crate::{
    Error, ErrorKind, Result,
    engine::storage::db::Db,
    revocation::{Cursor, Revocation, RevocationSet},
    time::to_second,
};

/// Maximum time for reading all revocations: a million rows take some seconds.
pub(in crate::engine) const FULL_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns all revocations in force, over a connection of its own: other reads must not wait for it.
pub(in crate::engine) async fn read_all(db: &Db) -> Result<RevocationBatch> {
    let connection = db.connect_for_reads().await?;
    batch(&connection.read(&sql::POLL, FULL_READ_TIMEOUT, &[&"0"]).await?)
}

/// Returns the revocations in force that are newer than the cursor. Several of one user are merged.
pub(in crate::engine) async fn read(db: &Db, after: Option<&Cursor>) -> Result<RevocationBatch> {
    let xmin = after.map_or(0, |cursor| cursor.xmin).to_string();
    let mut found = batch(&db.read(&sql::POLL, &[&xmin]).await?);
    if let (Ok(found_here), Some(cursor)) = (&found, after)
        && found_here.cursor.is_elsewhere(cursor)
    {
        found = batch(&db.read(&sql::POLL, &[&"0"]).await?);
    }
    if found.as_ref().is_err_and(Error::is_unavailable) {
        db.leave_connections();
    }
    found
}

/// Returns the result of a poll.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when the server is a standby: it may be far behind without showing it.
pub(in crate::engine) fn batch(rows: &[Row]) -> Result<RevocationBatch> {
    let first = rows.first().ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))?;
    let number = |column, radix| {
        let number = u64::from_str_radix(first.get::<_, &str>(column), radix);
        number.map_err(|cause| Error::with_source(ErrorKind::Internal, "a transaction ID cannot be parsed", cause))
    };
    if first.get::<_, Option<&str>>("timeline").is_none() {
        return Err(Error::new(ErrorKind::Unavailable, "the database is a standby"));
    }
    let timeline = u32::try_from(number("timeline", 16)?).unwrap_or_default();
    let cursor = Cursor { cluster: number("cluster", 10)?, timeline, xmin: number("cursor", 10)? };
    let mut revoked = RevocationSet::new();
    for revocation in rows.iter().filter_map(revocation) {
        revoked.insert(&revocation);
    }
    let as_of_ms = first.get::<_, i64>("as_of_ms").unsigned_abs();
    Ok(RevocationBatch::new(revoked.iter().collect(), cursor, as_of_ms))
}

fn revocation(row: &Row) -> Option<Revocation> {
    let until = to_second(row.get::<_, Option<DateTime<Utc>>>("until")?);
    let (session, user, kid): (Option<Uuid>, Option<Uuid>, Option<String>) =
        (row.get("session_id"), row.get("user_id"), row.get("kid"));
    let target = match (session, user, kid) {
        (Some(session), _, _) => RevocationTarget::Session { session_id: session.into() },
        (_, Some(user), _) => {
            RevocationTarget::User { public_id: user.into(), ver: row.get::<_, Option<i64>>("ver")?.unsigned_abs() }
        }
        (_, _, kid) => RevocationTarget::Key { kid: kid? },
    };
    Some(Revocation { tokens: target.into(), until })
}
