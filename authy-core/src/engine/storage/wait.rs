//! Waits for a database that is late: it starts after the program, restarts, or fails over.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{
    Error, Result,
    engine::storage::{connector::is_permanent, db::Db},
    error::chain,
};

/// Pause between two attempts: each opens a connection.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(250);

/// Interval of the log lines about the wait, after the first.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Repeats work while the database is not available, for a limited time. Every other error ends it at once: waiting
/// mends no wrong password.
///
/// # Errors
/// The last error of the work.
pub(in crate::engine) async fn until_available<T, F: Future<Output = Result<T>>>(
    db: &Db,
    limit: Duration,
    work: impl Fn() -> F,
) -> Result<T> {
    let begun = Instant::now();
    let mut reported: Option<Instant> = None;
    loop {
        let error = match work().await {
            Err(error) if error.is_unavailable() && !is_permanent(&error) && begun.elapsed() < limit => error,
            done => return done,
        };
        if reported.is_none_or(|when| when.elapsed() >= REPORT_INTERVAL) {
            reported = Some(Instant::now());
            report(db, limit.saturating_sub(begun.elapsed()), &error);
        }
        sleep(ATTEMPT_INTERVAL).await;
    }
}

fn report(db: &Db, left: Duration, error: &Error) {
    // The time is a part of the text: a line that is repeated literally may be left out of a log.
    let left = left.as_secs();
    tracing::warn!(hosts = ?db.hosts(), error = chain(error), "waiting for the database, at most {left} s longer");
}
