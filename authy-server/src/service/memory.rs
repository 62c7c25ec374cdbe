//! Token checks that are answered from memory.
//!
//! Services check a token on each of their own requests. When the token was verified before, nothing has to be waited for: the check
//! is answered without a deadline, a span or a task, and its response is made in the headers of its request. Everything that is
//! special about a request leaves it to [`Service::answer`].

use std::{mem, sync::Arc, time::Instant};

use authy_core::{
    Level,
    api::{Endpoint as _, Method, StatusCode, access_token, session::CheckAccess},
};
use http::request::Parts;
use http_body_util::{Either, Full};
use hyper::body::Body as _;

use super::Service;
use crate::{
    access_log::{LoggedAnswer, LoggedRequest},
    listener::Listener,
    message,
    metrics::{RouteMetrics, method_name},
    peer::Peer,
    reply::Response,
    request,
    table::RouteTable,
};

/// What token checks are counted by, and where they are.
pub(super) struct MemoryRoute {
    prefix: &'static str,
    metrics: Arc<RouteMetrics>,
}

impl MemoryRoute {
    /// Returns the route of token checks.
    pub(super) fn new(table: &RouteTable) -> Option<Self> {
        let metrics = table.metrics().iter().find(|metrics| metrics.route == CheckAccess::INFO.path)?.clone();
        Some(Self { prefix: CheckAccess::INFO.path.strip_suffix("{level}")?, metrics })
    }

    /// Returns the level that a request asks for; `None` when it is no token check, or not an ordinary one.
    fn level(&self, head: &Parts) -> Option<Level> {
        let is_plain = head.method == Method::GET || head.method == Method::HEAD;
        let level = head.uri.path().strip_prefix(self.prefix).filter(|_| is_plain)?;
        level.parse().ok()
    }
}

impl Service {
    /// Answers a token check from memory; `None` for every other request, whose head is as it was.
    pub(crate) fn answer_from_memory(&self, listener: Listener, peer: Peer, head: &mut Parts) -> Option<Response> {
        let began = Instant::now();
        let route = self.memory_route.as_ref()?;
        let level = route.level(head)?;
        let token = access_token(&head.headers).ok()?;
        let client = self.client(peer, &head.headers);
        let is_special = listener.is_own() && message::check(head).is_err()
            || self.require_https && !client.https
            || self.tracer.is_part_of_trace(&head.headers)
            || self.cors.is_asked(&head.headers);
        if is_special {
            return None;
        }
        let (user, grant) = self.authy.sessions().grant_from_memory(token, level)?;

        let id = request::id(&head.headers);
        let response = grant.into_response(mem::take(&mut head.headers));
        let mut response = response.map(|body| Either::Left(Full::new(body)));
        let duration = began.elapsed();
        route.metrics.record(&head.method, StatusCode::OK, duration);
        if let Some(log) = &self.access_log {
            let (method, request_id) = (method_name(&head.method), id.to_str().unwrap_or_default());
            let (ip, route, trace_id) = (client.ip, route.metrics.route, None);
            let request = LoggedRequest { method, route, ip, request_id, trace_id, is_frequent: true };
            let bytes = response.body().size_hint().exact();
            log.write(request, &LoggedAnswer { status: StatusCode::OK, duration, bytes, user: Some(user) });
        }
        self.add_headers(head, client, id, response.headers_mut());
        Some(response)
    }
}
