//! The lifetime of access tokens, per instance. Instances share the keys and may be configured differently: a token is refused only
//! when its lifetime exceeds those of all instances.

use std::time::Duration;

use tokio::time::sleep;

use super::sql;
use crate::{Error, ErrorKind, Result, claims::MAX_TOKEN_LIFETIME, engine::storage::db::Db};

/// How long a starting instance waits whose tokens have a longer lifetime than all others: the other instances poll four times per
/// second, and verifiers ask them once per second at most.
const LEAD: Duration = Duration::from_secs(2);

/// Stores the lifetime of the tokens of this instance, and waits until the other instances accept it.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] when that is longer than [`MAX_TOKEN_LIFETIME`]; [`ErrorKind::Unavailable`] when the database is away.
pub(super) async fn introduce(db: &Db, access_ttl: Duration) -> Result<()> {
    if access_ttl > MAX_TOKEN_LIFETIME {
        return Err(Error::new(ErrorKind::InvalidInput, "an access token lives for a day at most"));
    }
    let known = known(db).await?;
    note(db, access_ttl).await?;
    if known.is_some_and(|known| known < seconds(access_ttl)) {
        sleep(LEAD).await;
    }
    Ok(())
}

/// Stores the lifetime of the tokens of this instance, for the verifiers of all others.
pub(super) async fn note(db: &Db, access_ttl: Duration) -> Result<()> {
    db.write_quietly(&sql::NOTE_LIFE, &[&seconds(access_ttl)]).await.map(drop)
}

/// Returns the longest lifetime of a token that any instance issues, including this one.
pub(super) async fn longest(db: &Db, access_ttl: Duration) -> Result<Duration> {
    let longest = known(db).await?.unwrap_or_default().max(seconds(access_ttl));
    Ok(Duration::from_secs(longest.unsigned_abs()))
}

async fn known(db: &Db) -> Result<Option<i64>> {
    Ok(db.read_one(&sql::LONGEST_LIFE, &[]).await?.get("seconds"))
}

/// At least one, and rounded up: `iat` and `exp` are whole seconds.
fn seconds(access_ttl: Duration) -> i64 {
    let seconds = access_ttl.as_secs() + u64::from(access_ttl.subsec_nanos() > 0);
    i64::try_from(seconds.max(1)).unwrap_or(i64::MAX)
}
