//! Logs that otherwise valid tokens are refused because a setting or a clock is wrong, at most once a minute each.

use std::time::Instant;

use chrono::SecondsFormat;

use super::Claims;
use crate::{
    log_interval::LogInterval,
    time::{from_unix_seconds, now},
};

/// When such tokens were last logged.
#[derive(Debug, Default)]
pub(super) struct MismatchLog {
    names: LogInterval,
    clocks: LogInterval,
}

impl MismatchLog {
    /// Logs that a token whose signature is valid has another issuer or audience.
    pub(super) fn report(&self, claims: &Claims, issuer: &str, audience: &str) {
        if !self.names.is_due(Instant::now()) {
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

    /// Logs that a token whose signature is valid is from the future.
    pub(super) fn report_future(&self, issued: u64) {
        if !self.clocks.is_due(Instant::now()) {
            return;
        }
        let text = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        tracing::error!(
            token_issued = text(from_unix_seconds(issued)),
            own_clock = text(now()),
            "tokens are refused, because they were issued in the future: the clock of this machine is behind, or that of \
             the issuer is ahead"
        );
    }
}
