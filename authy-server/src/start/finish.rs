//! What a server asks its database once the engine has started, before it listens.

use std::time::{Duration, Instant};

use authy_core::{Authy, ClientInfo, Result, Secret, Username, engine::Caller, error::chain};
use tokio::time::sleep;

use crate::config::Settings;

/// Pause between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(250);

/// Interval of the log lines about the wait, after the first.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Warns of what weakens passwords, and creates the first administrator of a new database, whose name and password it returns. Waits for
/// a database that goes away meanwhile, as the engine does.
pub(super) async fn finish(settings: &Settings, authy: &Authy) -> Result<Option<(Username, Secret)>> {
    until_available(settings.start_timeout, async || warn_of_fallback_hashes(settings, authy).await).await?;
    let operator = Caller::operator(ClientInfo::default());
    let create = async || authy.users().create_first_administrator(&operator).await;
    until_available(settings.start_timeout, create).await
}

/// Repeats a question while the database is not available, for a limited time.
async fn until_available<T>(limit: Duration, question: impl AsyncFn() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let mut reported: Option<Instant> = None;
    loop {
        let error = match question().await {
            Err(error) if error.is_unavailable() && begun.elapsed() < limit => error,
            done => return done,
        };
        if reported.is_none_or(|when| when.elapsed() >= REPORT_INTERVAL) {
            reported = Some(Instant::now());
            // The time is a part of the text: a line that is repeated literally may be left out of a log.
            let left = limit.saturating_sub(begun.elapsed()).as_secs();
            tracing::warn!(error = chain(&error), "waiting for the database, at most {left} s longer");
        }
        sleep(ATTEMPT_INTERVAL).await;
    }
}

/// Warns while hashes are kept for the first authy, or new ones would be.
async fn warn_of_fallback_hashes(settings: &Settings, authy: &Authy) -> Result<()> {
    let kept = authy.count_fallback_hashes().await?;
    if settings.compat.is_some() {
        tracing::warn!(
            kept,
            "password hashes that are weaker than argon2id are kept for the first authy, encrypted with the master key: leave \
             out AUTHY_COMPAT and run `authy-server export --forget` once it will not be started again"
        );
    } else if kept > 0 {
        tracing::warn!(
            kept,
            "password hashes that are weaker than argon2id are still kept for the first authy: run `authy-server export \
             --forget` once it will not be started again"
        );
    }
    Ok(())
}
