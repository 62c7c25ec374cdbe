//! The lock that lets one instance migrate at a time.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The number of the advisory lock: "authy" in ASCII, so that other programs are unlikely to use it.
const MIGRATION_LOCK: i64 = 0x61_75_74_68_79;

/// Interval at which the lock is tried.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Interval at which the log says again for whom this instance waits: an index of a large table takes minutes.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// No time limits: a migration may take minutes, and the lock must not be lost meanwhile.
pub(super) const NO_LIMITS: &str =
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
     SELECT pg_catalog.set_config('transaction_timeout', '0', true)
     WHERE pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL";

/// Waits until no other instance migrates. From then on, a transaction on this connection holds the lock.
///
/// A concurrent index build waits for every transaction that has an older snapshot, until it ends. So an instance does not wait in
/// the database, and tries the lock each time in a new transaction. The one that holds the lock has no snapshot: it is READ
/// COMMITTED regardless of the default, and uses the simple protocol, because a portal of the extended protocol keeps its snapshot
/// until the next statement.
pub(super) async fn take(guard: &Client) -> Result<(), tokio_postgres::Error> {
    let try_lock = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {NO_LIMITS};
         SELECT pg_catalog.pg_try_advisory_xact_lock({MIGRATION_LOCK})"
    );
    let mut logged: Option<Instant> = None;
    while last_row(&guard.simple_query(&try_lock).await?).first() != Some(&"t") {
        release(guard).await?;
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            log_holder(guard).await?;
            logged = Some(Instant::now());
        }
        sleep(RETRY_INTERVAL).await;
    }
    Ok(())
}

/// Releases the lock. The end of the connection does it, too.
pub(super) async fn release(guard: &Client) -> Result<(), tokio_postgres::Error> {
    guard.batch_execute("ROLLBACK").await
}

/// Logs which connection holds the lock.
async fn log_holder(client: &Client) -> Result<(), tokio_postgres::Error> {
    let holder = format!(
        "SELECT a.pid, a.application_name, a.client_addr, a.xact_start
         FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
           AND (l.classid::bigint << 32) + l.objid::bigint = {MIGRATION_LOCK} AND l.objsubid = 1"
    );
    let answered = client.simple_query(&holder).await?;
    // None: it has just ended.
    if let [pid, application_name, address, since] = last_row(&answered)[..] {
        tracing::info!(
            pid,
            application_name,
            address,
            since,
            "waiting for another instance, which migrates the schema"
        );
    }
    Ok(())
}

/// Returns the columns of the last row; NULL is empty.
fn last_row(answered: &[SimpleQueryMessage]) -> Vec<&str> {
    let row = answered.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.map_or_else(Vec::new, |row| (0..row.len()).map(|column| row.get(column).unwrap_or_default()).collect())
}
