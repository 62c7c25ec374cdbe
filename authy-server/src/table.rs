//! The route table: which endpoint a method and a path lead to.

use std::{collections::BTreeMap, iter, sync::Arc};

use authy_core::api::{Info, Method, RateClass};
use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use percent_encoding::percent_decode_str;

use crate::{
    metrics::{RouteMetrics, UNKNOWN_ROUTE},
    operations::Operation,
    route::Route,
};

/// Finds a route by path and method.
pub(crate) struct RouteTable {
    router: matchit::Router<Resource>,
    unknown: Arc<RouteMetrics>,
    metrics: Vec<Arc<RouteMetrics>>,
}

/// The endpoints of a path.
pub(crate) struct Resource {
    routes: Vec<Route>,
    /// The value of the `Allow` header.
    pub(crate) allow: HeaderValue,
    /// The counts of its requests.
    pub(crate) metrics: Arc<RouteMetrics>,
}

impl Resource {
    /// Returns whether other services call it on every request of theirs.
    pub(crate) fn is_frequent(&self) -> bool {
        self.routes.iter().all(|route| route.info.limit == RateClass::Exempt)
    }

    /// Returns the route of a request; HEAD has that of GET. `is_preflight`: whether a page of an allowed origin asks what it may send.
    pub(crate) fn route(&self, head: &Parts, is_preflight: bool) -> Option<&Route> {
        let method = if head.method == Method::HEAD { &Method::GET } else { &head.method };
        let exact = self.routes.iter().find(|route| route.info.method == method);
        exact.or_else(|| {
            // Where a proxy asks, the answer to OPTIONS would let the request pass without a token.
            let is_about_itself =
                || !is_forwarded(&head.headers) || is_preflight && !is_about_another_request(&head.headers);
            let is_about_itself = method == Method::OPTIONS && is_about_itself();
            self.routes.iter().find(|route| route.info.any_method && !is_about_itself)
        })
    }
}

impl RouteTable {
    /// Builds the table of all routes.
    pub(crate) fn new(routes: Vec<Route>) -> Self {
        // Paths that are not those of the API share one, however many clients try.
        let unknown = Arc::new(RouteMetrics::new(UNKNOWN_ROUTE, iter::empty()));
        let operations = Operation::ALL.map(|operation| RouteMetrics::new(operation.path(), iter::once(&Method::GET)));
        let mut metrics = vec![unknown.clone()];
        metrics.extend(operations.map(Arc::new));
        Self { router: matchit::Router::new(), unknown, metrics }.with(routes)
    }

    /// Adds the counts of pages.
    #[cfg(feature = "ui")]
    pub(crate) fn with_pages(mut self, pages: impl Iterator<Item = (&'static str, Vec<Method>)>) -> Self {
        self.metrics.extend(pages.map(|(path, methods)| Arc::new(RouteMetrics::new(path, methods.iter()))));
        self
    }

    /// Returns the counts of a page.
    #[cfg(feature = "ui")]
    pub(crate) fn page(&self, path: &str) -> &RouteMetrics {
        self.metrics.iter().find(|known| known.route == path).unwrap_or(&self.unknown)
    }

    /// Builds the table of some of these routes, whose requests are counted together with those of this table.
    pub(crate) fn part(&self, routes: Vec<Route>) -> Self {
        let (unknown, metrics) = (self.unknown.clone(), self.metrics.clone());
        Self { router: matchit::Router::new(), unknown, metrics }.with(routes)
    }

    fn with(mut self, routes: Vec<Route>) -> Self {
        let mut paths = BTreeMap::<_, Vec<_>>::new();
        for route in routes {
            paths.entry(route.info.path).or_default().push(route);
        }
        for (path, routes) in paths {
            let allow = methods(routes.iter().map(|route| route.info)).join(", ");
            let allow = HeaderValue::try_from(allow).unwrap_or(HeaderValue::from_static("OPTIONS"));
            let known = self.metrics.iter().find(|known| known.route == path).cloned();
            let metrics = known.unwrap_or_else(|| {
                let metrics = Arc::new(RouteMetrics::new(path, routes.iter().map(|route| &route.info.method)));
                self.metrics.push(metrics.clone());
                metrics
            });
            if let Err(conflict) = self.router.insert(path, Resource { routes, allow, metrics }) {
                // Two rows for the same path are an error in the source, which the tests find.
                tracing::error!(path, %conflict, "a path cannot be reached");
            }
        }
        self
    }

    /// Returns the counts of every path.
    pub(crate) fn metrics(&self) -> &[Arc<RouteMetrics>] {
        &self.metrics
    }

    /// Returns the counts of a path of operations.
    pub(crate) fn operation(&self, operation: Operation) -> &RouteMetrics {
        self.metrics.iter().find(|known| known.route == operation.path()).unwrap_or(&self.unknown)
    }

    /// Returns the counts of the paths that lead nowhere.
    pub(crate) fn unknown(&self) -> &RouteMetrics {
        &self.unknown
    }

    /// Returns the endpoints of a path, and the parameters in it with their names. Parameters are decoded once, after
    /// the path was split, so that an encoded slash stays inside its segment.
    pub(crate) fn find<'a>(&'a self, path: &'a str) -> Option<(&'a Resource, Vec<(&'a str, String)>)> {
        let found = self.router.at(path).ok()?;
        let decode = |(name, text)| Some((name, percent_decode_str(text).decode_utf8().ok()?.into_owned()));
        Some((found.value, found.params.iter().map(decode).collect::<Option<_>>()?))
    }
}

/// Returns whether a proxy has passed a request on, or asks about one.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    let names = headers.keys().map(HeaderName::as_str);
    let mut ours = names.filter(|name| {
        ["forwarded", "via", "x-real-ip"].contains(name)
            || ["x-forwarded-", "x-original-", "x-envoy-"].iter().any(|beginning| name.starts_with(beginning))
    });
    ours.next().is_some()
}

/// Returns whether a proxy says about which request it asks.
fn is_about_another_request(headers: &HeaderMap) -> bool {
    ["x-forwarded-method", "x-forwarded-uri", "x-original-method", "x-original-uri", "x-original-url"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

/// Returns the methods of a path, with those that every path answers.
pub(crate) fn methods<'a>(endpoints: impl Iterator<Item = &'a Info>) -> Vec<&'a str> {
    let mut own = Vec::new();
    for info in endpoints {
        own.push(info.method.as_str());
        if info.any_method {
            own.extend(["POST", "PUT", "PATCH", "DELETE"]);
        }
    }
    let head = own.contains(&"GET").then_some("HEAD");
    ["OPTIONS"].into_iter().chain(head).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routes;

    fn table() -> RouteTable {
        RouteTable::new(routes::all())
    }

    fn request(method: Method, headers: &[&'static str]) -> Parts {
        let mut request = http::Request::new(()).into_parts().0;
        request.method = method;
        for name in headers {
            request.headers.insert(*name, HeaderValue::from_static("x"));
        }
        request
    }

    fn found(path: &str) -> Option<(String, Vec<String>)> {
        let table = table();
        let (resource, parameters) = table.find(path)?;
        let allow = resource.allow.to_str().unwrap().to_owned();
        Some((allow, parameters.into_iter().map(|(_, value)| value).collect()))
    }

    #[test]
    fn every_endpoint_has_exactly_one_route() {
        let mut routed: Vec<_> = routes::all().iter().map(|route| route.info.name).collect();
        let mut known: Vec<_> = authy_core::api::all().map(|info| info.name).collect();
        routed.sort_unstable();
        known.sort_unstable();
        assert_eq!(routed, known);
    }

    #[test]
    fn every_endpoint_is_found_at_its_path() {
        let table = table();
        for info in authy_core::api::all() {
            let path = info.path.replace(['{', '}'], "x");
            let (resource, parameters) = table.find(&path).unwrap_or_else(|| panic!("{path}"));
            let route = resource.route(&request(info.method.clone(), &[]), false);
            assert_eq!(route.map(|route| route.info.name), Some(info.name));
            assert_eq!(parameters.len(), info.path.matches('{').count(), "{path}");
        }
    }

    #[test]
    fn head_is_answered_where_get_is() {
        let (allow, _) = found("/authy/user").unwrap();
        assert_eq!(allow, "OPTIONS, HEAD, POST, GET, DELETE");
        let (allow, _) = found("/authy/login").unwrap();
        assert_eq!(allow, "OPTIONS, POST");
    }

    #[test]
    fn a_proxy_can_ask_with_every_method() {
        let (allow, _) = found("/authy/checkaccess/10").unwrap();
        assert_eq!(allow, "OPTIONS, HEAD, GET, POST, PUT, PATCH, DELETE");
        let table = table();
        let routed = |path, method: &Method, headers: &[&'static str], is_preflight| {
            table.find(path).unwrap().0.route(&request(method.clone(), headers), is_preflight).is_some()
        };
        let purge = Method::from_bytes(b"PURGE").unwrap();
        for method in [&Method::GET, &Method::HEAD, &Method::POST, &Method::TRACE, &purge] {
            assert!(routed("/authy/checkaccess/10", method, &[], false), "{method}");
        }
        let asks = |headers: &[&'static str], is_preflight| {
            routed("/authy/checkaccess/10", &Method::OPTIONS, headers, is_preflight)
        };
        assert!(!asks(&[], false) && !asks(&[], true));
        for header in ["x-forwarded-proto", "forwarded", "via", "x-real-ip", "x-original-url", "x-envoy-internal"] {
            assert!(asks(&[header], false), "{header}");
        }
        assert!(!asks(&["x-forwarded-for"], true), "a browser asks through a proxy");
        assert!(asks(&["x-forwarded-for", "x-forwarded-method"], true), "a proxy asks for a browser");
        assert!(
            !routed("/authy/user", &Method::OPTIONS, &["via"], false) && !routed("/authy/user", &purge, &[], false)
        );
    }

    #[test]
    fn similar_paths_are_not_found() {
        for path in [
            "",
            "/",
            "*",
            "/authy/",
            "/authy/user/",
            "/authy//user",
            "/AUTHY",
            "/authy/fetch/%ff",
            "/authy/fetch/%C0%AF",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn an_encoded_slash_stays_inside_its_segment_and_is_decoded_once() {
        assert_eq!(found("/authy/fetch/a%2Fb").unwrap().1, ["a/b"]);
        assert_eq!(found("/authy/fetch/a%252Fb").unwrap().1, ["a%2Fb"]);
        assert_eq!(found("/authy/fetch/%C3%A9%00").unwrap().1, ["é\0"]);
    }

    proptest! {
        #[test]
        fn any_path_is_found_or_not_found(path in "(/authy(/[a-z%{}*.]{0,9}){0,5}|\\PC*)") {
            if let Some((_, parameters)) = table().find(&path) {
                prop_assert!(parameters.len() <= 2);
            }
        }
    }
}
