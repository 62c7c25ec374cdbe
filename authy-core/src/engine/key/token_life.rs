//! How long the tokens of every instance live. They share the keys and may be configured differently: a token is refused only when it
//! lives longer than those that any of them issues.

use std::time::Duration;

use tokio::time::sleep;

use super::sql;
use crate::{Error, ErrorKind, Result, claims::MAX_ACCESS_LIFE, engine::db::Db};

/// How long an instance waits that issues tokens which live longer than all others: the other instances poll four times a second,
/// and verifiers ask them once a second at most.
const LEAD: Duration = Duration::from_secs(2);

/// Notes how long the tokens live that are about to be issued here, and waits until the other instances accept them.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] when that is longer than [`MAX_ACCESS_LIFE`]; [`ErrorKind::Unavailable`] when the database is away.
pub(super) async fn introduce(db: &Db, access_ttl: Duration) -> Result<()> {
    if access_ttl > MAX_ACCESS_LIFE {
        return Err(Error::new(ErrorKind::InvalidInput, "an access token lives for a day at most"));
    }
    let known = known(db).await?;
    note(db, access_ttl).await?;
    if known.is_some_and(|known| known < seconds(access_ttl)) {
        sleep(LEAD).await;
    }
    Ok(())
}

/// Notes how long the tokens of this instance live, for the verifiers of all others.
pub(super) async fn note(db: &Db, access_ttl: Duration) -> Result<()> {
    db.note(&sql::NOTE_LIFE, &[&seconds(access_ttl)]).await.map(drop)
}

/// The longest life of a token that any instance issues, this one included.
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
