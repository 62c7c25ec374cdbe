//! The lifetime of access tokens, per instance. Instances share the keys and may have different settings: a token is
//! refused only when its lifetime exceeds those of all instances.

use std::time::Duration;

use tokio::time::sleep;

use super::sql;
use crate::{Error, ErrorKind, Result, claims::MAX_TOKEN_LIFETIME, engine::storage::db::Db};

/// Time for which a starting instance waits when its tokens have a longer lifetime than all others: the other instances
/// poll four times per second, and verifiers query them at most once per second.
const INTRODUCTION_WAIT: Duration = Duration::from_secs(2);

/// Stores the lifetime of this instance's tokens, and waits until the other instances accept it.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] when it exceeds [`MAX_TOKEN_LIFETIME`]; [`ErrorKind::Unavailable`] when the database is
/// not available.
pub(super) async fn introduce(db: &Db, access_ttl: Duration) -> Result<()> {
    if access_ttl > MAX_TOKEN_LIFETIME {
        return Err(Error::new(ErrorKind::InvalidInput, "the lifetime of an access token is at most one day"));
    }
    let known = known(db).await?;
    note(db, access_ttl).await?;
    if known.is_some_and(|known| known < seconds(access_ttl)) {
        sleep(INTRODUCTION_WAIT).await;
    }
    Ok(())
}

/// Stores the lifetime of this instance's tokens, for the verifiers of all other instances.
pub(super) async fn note(db: &Db, access_ttl: Duration) -> Result<()> {
    db.write_quietly(&sql::NOTE_LIFETIME, &[&seconds(access_ttl)]).await.map(drop)
}

/// Returns the maximum lifetime of the tokens of all instances, including this one.
pub(super) async fn longest(db: &Db, access_ttl: Duration) -> Result<Duration> {
    let longest = known(db).await?.unwrap_or_default().max(seconds(access_ttl));
    Ok(Duration::from_secs(longest.unsigned_abs()))
}

async fn known(db: &Db) -> Result<Option<i64>> {
    Ok(db.read_one(&sql::LONGEST_LIFETIME, &[]).await?.get("seconds"))
}

/// At least one, and rounded up: `iat` and `exp` are whole seconds.
fn seconds(access_ttl: Duration) -> i64 {
    let seconds = access_ttl.as_secs() + u64::from(access_ttl.subsec_nanos() > 0);
    i64::try_from(seconds.max(1)).unwrap_or(i64::MAX)
}
