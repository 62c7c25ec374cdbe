//! One scrape: everything that the server and the engine know, as text.

use std::{fmt, sync::Arc, time::Duration};

use authy_core::engine::{DatabaseStatus, SessionOutcome, Statistics};
use http::{HeaderMap, header::ACCEPT};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text, text},
    registry::{Registry, Unit},
};

use super::{
    family::{Families, NO_LABELS},
    process,
    requests::RouteMetrics,
    server::ServerCounts,
};

/// The commit that the program was built from; empty when the build has found none.
const COMMIT: &str = env!("PROGRAM_COMMIT");

/// The formats that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

/// What a scrape reads.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) statistics: Statistics,
    pub(crate) routes: Vec<Arc<RouteMetrics>>,
    pub(crate) server: Arc<ServerCounts>,
    /// The number of open event streams of each kind of followers.
    pub(crate) streams: [(&'static str, usize); 3],
}

impl Format {
    /// Returns the format that a client asks for.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
        match accepted.any(|line| line.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Returns the `Content-Type` of the format.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Scrape {
    /// Returns the metrics as text.
    pub(crate) fn into_text(self, format: Format) -> String {
        let (mut registry, mut written) = (Registry::default(), String::new());
        registry.register_collector(Box::new(self));
        // Writing into memory cannot fail.
        let _ = match format {
            Format::Prometheus => prometheus_text::encode(&mut written, &registry),
            Format::OpenMetrics => text::encode(&mut written, &registry),
        };
        written
    }

    fn http(&self, out: &mut Families<'_>) -> fmt::Result {
        let routes = || self.routes.iter();
        let requests = routes().flat_map(|route| {
            route.requests().map(|counted| {
                ([("route", route.route), ("method", counted.method), ("status", counted.class)], counted.count)
            })
        });
        let help = "Requests answered, by route, method and class of the status";
        out.counter("authy_http_requests", help, requests)?;
        let durations = routes().map(|route| ([("route", route.route)], route.durations()));
        let help = "Time from the head of a request to the head of its answer, by route";
        out.histogram("authy_http_request_duration", help, durations)?;
        let limited = self.server.limited().map(|(limit, count)| ([("limit", limit)], count));
        out.counter("authy_rate_limited_requests", "Requests refused by a rate limit, by limit", limited)?;
        out.number("authy_http_connections", "Open connections of clients", self.server.connections())?;
        let help = "Expiry of the TLS certificate in use, in seconds since 1970; no sample without TLS";
        out.time("authy_tls_not_after", help, self.server.tls_expiry())?;
        let streams = self.streams.map(|(kind, open)| ([("kind", kind)], open));
        out.gauge("authy_event_streams", None, "Open event streams, by kind of follower", streams)
    }

    fn sessions(&self, out: &mut Families<'_>) -> fmt::Result {
        let (sessions, guesses) = (&self.statistics.sessions, &self.statistics.guesses);
        let logins = sessions.logins.iter();
        let logins = logins.map(|(outcome, count)| ([("outcome", outcome.as_str()), ("method", "password")], *count));
        out.counter("authy_logins", "Logins, by outcome and method", logins)?;
        // The others are outcomes of logins only.
        let is_refresh = |outcome| !matches!(outcome, SessionOutcome::NotValidated | SessionOutcome::Overloaded);
        let refreshes = sessions.refreshes.iter().filter(|(outcome, _)| is_refresh(*outcome));
        let refreshes = refreshes.map(|(outcome, count)| ([("outcome", outcome.as_str())], *count));
        out.counter("authy_refreshes", "Exchanges of refresh tokens, by outcome", refreshes)?;
        let help = "Sessions ended because a spent refresh token was presented";
        out.counter("authy_session_replays", help, [(NO_LABELS, sessions.replays)])?;
        let help = "Times that wrong passwords began to slow down the attempts at an account";
        out.counter("authy_throttled_accounts", help, [(NO_LABELS, guesses.throttled_accounts)])?;
        let help = "Passwords not verified because too many wrong ones came before";
        out.counter("authy_refused_guesses", help, [(NO_LABELS, guesses.refused)])
    }

    fn hashing(&self, out: &mut Families<'_>) -> fmt::Result {
        let hashing = &self.statistics.hashing;
        out.number("authy_hash_queue", "Passwords that wait to be hashed", hashing.waiting)?;
        out.number("authy_hash_running", "Passwords that are being hashed", hashing.running)?;
        out.number("authy_hash_threads", "Threads that hash passwords", hashing.threads)?;
        let help = "Time that a password waited to be hashed";
        out.histogram("authy_hash_wait", help, [(NO_LABELS, hashing.waits.clone())])
    }

    fn database(&self, out: &mut Families<'_>) -> fmt::Result {
        let connections = &self.statistics.connections;
        let states = [([("state", "idle")], connections.idle), ([("state", "in_use")], connections.in_use)];
        out.gauge("authy_db_connections", None, "Connections of the pool, by state", states)?;
        out.number("authy_db_connections_max", "Maximum number of connections of the pool", connections.max)?;
        out.number("authy_db_waiting", "Callers that wait for a connection of the pool", connections.waiting)?;
        let DatabaseStatus { timeline, clock_skew, lost_history, .. } = self.statistics.database;
        let help = "Timeline of the database: a failover or a restore begins another one";
        out.gauge("authy_database_timeline", None, help, timeline.map(|timeline| (NO_LABELS, u64::from(timeline))))?;
        let help = "How far the clock of the server is ahead of that of the database";
        let skew = clock_skew.map(|skew| (NO_LABELS, skew.as_seconds_f64()));
        out.gauge("authy_clock_skew", Some(&Unit::Seconds), help, skew)?;
        let help = "Signs that the database has lost what was committed before";
        out.counter("authy_database_losses", help, [(NO_LABELS, lost_history)])
    }

    fn revocations(&self, out: &mut Families<'_>) -> fmt::Result {
        let Statistics { revocations, revocation_age, keys, .. } = &self.statistics;
        out.number("authy_revocations", "Revocations in force", *revocations)?;
        out.seconds("authy_feed_staleness", "Age of the known revocations", *revocation_age)?;
        let keys = keys.iter().map(|key| ([("state", key.state.as_str()), ("alg", &*key.algorithm)], key.count));
        out.gauge("authy_keys", None, "Usable signing keys, by state and algorithm", keys)
    }

    fn relay(&self, out: &mut Families<'_>) -> fmt::Result {
        let sinks = || self.statistics.relay.iter().flat_map(|relay| &relay.sinks);
        let lags = sinks().map(|sink| ([("sink", &*sink.sink)], sink.lag.as_secs_f64()));
        let help = "Age of the oldest event that a sink has not accepted, by sink; 0 when there is none";
        out.gauge("authy_relay_lag", Some(&Unit::Seconds), help, lags)?;
        let stuck = sinks().map(|sink| ([("sink", &*sink.sink)], sink.stuck));
        let help = "Events whose delivery failed and is repeated, by sink; at most 10000";
        out.gauge("authy_relay_stuck_events", None, help, stuck)?;
        let given_up = sinks().map(|sink| ([("sink", &*sink.sink)], sink.given_up));
        let help = "Events whose delivery was given up and not dismissed, by sink; at most 10000";
        out.gauge("authy_relay_given_up_events", None, help, given_up)?;
        let age: Option<Duration> = self.statistics.relay.as_ref().map(|relay| relay.age);
        out.seconds("authy_relay_measurement_age", "Time since the lag and the stuck events were measured", age)
    }

    fn build(out: &mut Families<'_>) -> fmt::Result {
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("commit", COMMIT)];
        out.gauge("authy_build_info", None, "The version and the commit of the program; always 1", [(labels, 1_u64)])
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut Families(encoder);
        self.http(out)?;
        self.sessions(out)?;
        self.hashing(out)?;
        self.database(out)?;
        self.revocations(out)?;
        self.relay(out)?;
        Self::build(out)?;
        process::write(out)
    }
}
