//! The counts of one path of the API. The path is that of the endpoint's row, with the names of parameters in place of
//! their values, so the number of series is fixed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use authy_core::{
    api::{Method, StatusCode},
    histogram::{Histogram, HistogramSnapshot},
};

/// The names of methods; all others share the last one.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

/// The classes of status codes. The server answers no 1xx of its own.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The route of the requests to all unknown paths.
pub(crate) const UNKNOWN_ROUTE: &str = "(none)";

/// The counts of one path.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    /// The path, with parameters in braces.
    pub(crate) route: &'static str,
    /// The methods of the rows of this path. Their series begin at 0, because a rate needs two values.
    declared: Vec<&'static str>,
    requests: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    durations: Histogram,
}

/// The number of requests with a method whose answers had a status of one class.
pub(super) struct RequestCount {
    pub(super) method: &'static str,
    pub(super) class: &'static str,
    pub(super) count: u64,
}

impl RouteMetrics {
    pub(crate) fn new<'a>(route: &'static str, methods: impl Iterator<Item = &'a Method>) -> Self {
        let declared = methods.map(method_name).collect();
        Self { route, declared, requests: Default::default(), durations: Histogram::default() }
    }

    /// Counts an answer. `duration` is the time until its head was ready.
    pub(crate) fn record(&self, method: &Method, status: StatusCode, duration: Duration) {
        let class = usize::from((status.as_u16() / 100).saturating_sub(2));
        if let Some(count) = self.requests.get(method_index(method)).and_then(|classes| classes.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.durations.observe(duration);
    }

    /// Returns the counts that are not 0, and all of the declared methods.
    pub(super) fn requests(&self) -> impl Iterator<Item = RequestCount> {
        let counts = METHODS.into_iter().zip(&self.requests).flat_map(|(method, classes)| {
            let count = move |(class, count): (_, &AtomicU64)| RequestCount {
                method,
                class,
                count: count.load(Ordering::Relaxed),
            };
            CLASSES.into_iter().zip(classes).map(count)
        });
        counts.filter(|counted| counted.count > 0 || self.declared.contains(&counted.method))
    }

    pub(super) fn durations(&self) -> HistogramSnapshot {
        self.durations.snapshot()
    }
}

/// Returns the name of a method, which is one of a few: `other` for a method that a client made up.
pub(crate) fn method_name(method: &Method) -> &'static str {
    METHODS.get(method_index(method)).copied().unwrap_or("other")
}

fn method_index(method: &Method) -> usize {
    let known = METHODS.iter().position(|name| *name == method.as_str());
    known.unwrap_or(METHODS.len() - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(metrics: &RouteMetrics) -> Vec<(&str, &str, u64)> {
        metrics.requests().map(|counted| (counted.method, counted.class, counted.count)).collect()
    }

    #[test]
    fn declared_methods_begin_at_zero_and_others_when_they_are_used() {
        let metrics = RouteMetrics::new("/authy/login", [&Method::POST].into_iter());
        assert_eq!(counts(&metrics), CLASSES.map(|class| ("POST", class, 0)));
        metrics.record(&Method::POST, StatusCode::OK, Duration::from_millis(30));
        metrics.record(&Method::GET, StatusCode::METHOD_NOT_ALLOWED, Duration::from_micros(20));
        let counted: Vec<_> = counts(&metrics).into_iter().filter(|(.., count)| *count > 0).collect();
        assert_eq!(counted, [("GET", "4xx", 1), ("POST", "2xx", 1)]);
        let durations = metrics.durations();
        assert_eq!((durations.count(), durations.sum), (2, Duration::from_micros(30_020)));
    }

    proptest! {
        #[test]
        fn a_method_that_a_client_made_up_adds_no_series(method in "[A-Za-z!#$%&'*+.^_`|~0-9-]{1,20}", status in 100_u16..1000) {
            let metrics = RouteMetrics::new("/", std::iter::empty());
            let (method, status) = (Method::from_bytes(method.as_bytes()).unwrap(), StatusCode::from_u16(status).unwrap());
            metrics.record(&method, status, Duration::ZERO);
            let known = counts(&metrics).iter().all(|(method, class, _)| METHODS.contains(method) && CLASSES.contains(class));
            prop_assert!(known && counts(&metrics).len() <= 1);
        }
    }
}
