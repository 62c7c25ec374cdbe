//! A request until it is answered. The future of one whose client hangs up is dropped, wherever it waits.

use std::{mem, time::Instant};

use authy_core::{
    UserId,
    api::{Method, StatusCode},
};

use crate::{
    access_log::{AccessLog, LoggedAnswer, LoggedRequest},
    metrics::RouteMetrics,
};

/// The status of a request whose client hung up before the answer, as nginx logs it. It is never sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request that has no answer yet. Dropped without one, it is counted and logged as one whose client hung up: those
/// of a slow database would otherwise be in no count of what is slow.
pub(super) struct Unanswered<'a> {
    pub(super) log: Option<AccessLog>,
    pub(super) metrics: &'a RouteMetrics,
    pub(super) method: &'a Method,
    pub(super) request: LoggedRequest<'a>,
    pub(super) began: Instant,
}

impl Unanswered<'_> {
    /// Counts and logs the answer. `bytes` is the length of its body.
    pub(super) fn answer(self, status: StatusCode, bytes: Option<u64>, user: Option<UserId>) {
        self.record(status, bytes, user);
        mem::forget(self);
    }

    fn record(&self, status: StatusCode, bytes: Option<u64>, user: Option<UserId>) {
        let duration = self.began.elapsed();
        self.metrics.record(self.method, status, duration);
        if let Some(log) = &self.log {
            log.write(self.request, &LoggedAnswer { status, duration, bytes, user });
        }
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.record(StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST), None, None);
    }
}
