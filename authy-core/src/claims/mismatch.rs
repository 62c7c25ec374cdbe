//! Logs that tokens are refused for their issuer or audience: one of the two programs is configured wrongly.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Claims;

/// Minimum time between two lines: every request of every user may have such a token.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// When such a token was last logged.
#[derive(Debug, Default)]
pub(super) struct MismatchLog(Mutex<Option<Instant>>);

impl MismatchLog {
    /// Logs the claims of a token whose signature is valid, unless that was done within the last minute.
    pub(super) fn report(&self, claims: &Claims, issuer: &str, audience: &str) {
        if !self.is_due(Instant::now()) {
            return;
        }
        tracing::error!(
            token_issuer = claims.iss,
            expected_issuer = issuer,
            token_audience = claims.aud,
            expected_audience = audience,
            "tokens are refused, because they have another issuer or audience than this program expects: it must have \
             the same as the server (AUTHY_ISSUER, AUTHY_AUDIENCE)"
        );
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_some_and(|logged| now.saturating_duration_since(logged) < LOG_INTERVAL) {
            return false;
        }
        *logged = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_is_logged_at_most_once_a_minute() {
        let (log, begin) = (MismatchLog::default(), Instant::now());
        let is_due_after = |seconds| log.is_due(begin + Duration::from_secs(seconds));
        assert_eq!([0, 0, 59, 60, 61, 119, 121].map(is_due_after), [true, false, false, true, false, false, true]);
    }
}
