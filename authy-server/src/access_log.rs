//! The access log: a line for each request, under a target of its own.

use std::{net::IpAddr, time::Duration};

use authy_core::{UserId, api::StatusCode};

use crate::traces::TraceId;

/// The access log: a message at the level `info` for each request, with the target `authy_server::access_log`. It
/// contains the route and never the path, which may contain a one-time code, and no header, query or body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessLog {
    /// Share of the successful token checks and reads of the public keys that are logged, from 0 to 1. All other
    /// requests are logged.
    pub sample: f64,
}

impl Default for AccessLog {
    fn default() -> Self {
        // Services check a token on each of their own requests: all lines would be many times those of all else.
        Self { sample: 0.01 }
    }
}

/// What is logged of a request.
#[derive(Clone, Copy)]
pub(crate) struct LoggedRequest<'a> {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) ip: IpAddr,
    pub(crate) request_id: &'a str,
    /// The trace that the request is a part of, when that is exported.
    pub(crate) trace_id: Option<TraceId>,
    /// Whether it was sent to an endpoint that other services call on every request of theirs.
    pub(crate) is_frequent: bool,
}

/// What is logged of its answer.
pub(crate) struct LoggedAnswer {
    pub(crate) status: StatusCode,
    pub(crate) duration: Duration,
    /// Length of the body. Not known of one that is written while it is sent.
    pub(crate) bytes: Option<u64>,
    /// The owner of the token of the request, when it was checked.
    pub(crate) user: Option<UserId>,
}

impl AccessLog {
    /// Writes the line of a request, unless the request is left out of the sample.
    pub(crate) fn write(&self, request: LoggedRequest<'_>, answer: &LoggedAnswer) {
        if self.wants(request.is_frequent, answer.status) {
            let LoggedRequest { method, route, ip, request_id, trace_id, .. } = request;
            let LoggedAnswer { status, duration, bytes, user } = answer;
            tracing::info!(
                method,
                route,
                status = status.as_u16(),
                duration_ms = duration.as_micros() as f64 / 1000.0,
                bytes,
                %ip,
                request_id,
                trace_id = trace_id.map(tracing::field::display),
                user = user.map(tracing::field::display),
                "request"
            );
        }
    }

    fn wants(&self, is_frequent: bool, status: StatusCode) -> bool {
        let is_failure = status.is_client_error() || status.is_server_error();
        is_failure || !is_frequent || rand::random::<f64>() < self.sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_successful_token_checks_are_left_out() {
        let none = AccessLog { sample: 0.0 };
        assert!(!none.wants(true, StatusCode::OK));
        assert!(none.wants(false, StatusCode::OK) && none.wants(true, StatusCode::UNAUTHORIZED));
        let all = AccessLog { sample: 1.0 };
        assert!((0..1000).all(|_| all.wants(true, StatusCode::OK)));
        let half = AccessLog { sample: 0.5 };
        let logged = (0..10_000).filter(|_| half.wants(true, StatusCode::OK)).count();
        assert!((4_000..6_000).contains(&logged), "{logged}");
    }
}
