//! Cross-origin requests from browsers (the CORS protocol of the Fetch standard), for configured origins only.

use http::{
    HeaderMap, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, VARY,
    },
    request::Parts,
};

mod origin;

pub(crate) use origin::origin;

/// The origins whose pages may call.
///
/// No cookie is read, so credentials are never allowed: a page sends the token itself.
pub(crate) struct Cors(Vec<HeaderValue>);

impl Cors {
    /// Allows these origins, such as `https://shop.example`. What is none is left out.
    pub(crate) fn new(origins: &[String]) -> Self {
        let allowed = origins.iter().filter_map(|text| match origin(text.trim_end_matches('/')) {
            Ok(origin) => HeaderValue::try_from(origin).ok(),
            Err(error) => {
                tracing::warn!(origin = text, %error, "no page of this origin may call");
                None
            }
        });
        Self(allowed.collect())
    }

    /// Returns whether a page of an allowed origin asks what it may send.
    pub(crate) fn is_preflight(&self, request: &Parts) -> bool {
        request.method == Method::OPTIONS
            && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && request.headers.get(ORIGIN).is_some_and(|origin| self.0.contains(origin))
    }

    /// Returns whether a page asks, of any origin, and the answer depends on which.
    pub(crate) fn is_asked(&self, headers: &HeaderMap) -> bool {
        !self.0.is_empty() && headers.contains_key(ORIGIN)
    }

    /// Adds the headers that let a browser hand the answer to `request` to its page, also for errors.
    pub(crate) fn add_headers(&self, request: &Parts, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = request.headers.get(ORIGIN).filter(|origin| self.0.contains(origin)) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let preflight =
            request.method == Method::OPTIONS && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        match headers.get(ALLOW).filter(|_| preflight).cloned() {
            Some(methods) => {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
                let allowed = "authorization, content-type, x-access-token, x-device-token, x-request-id";
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
                // Two hours, which is as long as Chromium keeps it.
                headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
            }
            None => {
                let exposed = "location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id";
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
            }
        }
    }
}
