//! Answers one request, from its head to its answer.

use std::{error::Error as StdError, net::IpAddr, panic::AssertUnwindSafe, pin::pin, time::Duration};

use authy_core::{
    Authenticator as _, Authy, ClientInfo, ErrorKind,
    api::{Endpoint as _, Method, RateClass, access_token, system::GetStatus},
    client_info::{ClientAddress, REQUEST_ID, TrustedProxies},
    engine::Caller,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{ALLOW, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS},
    request::Parts,
};
use hyper::body::Body;
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::{
    call::RawCall,
    cors::Cors,
    error_reply::ErrorReply,
    http_config::HttpConfig,
    limit::RateLimiter,
    listener::Listener,
    message,
    operations::{Operation, Readiness},
    page,
    reply::{self, Response},
    request, routes,
    stream::Streams,
    table::RouteTable,
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Answers requests, independently of the connection.
pub(crate) struct Service {
    authy: Authy,
    table: RouteTable,
    /// The routes of the listener for everybody beside an admin listener.
    public_table: RouteTable,
    proxies: TrustedProxies,
    /// Counts the requests of every address.
    pub(crate) limiter: RateLimiter,
    /// The streams that are open.
    pub(crate) streams: Streams,
    /// Whether the server should get requests.
    pub(crate) readiness: Readiness,
    cors: Cors,
    require_https: bool,
    body_timeout: Duration,
    request_timeout: Duration,
}

impl Service {
    pub(crate) fn new(authy: Authy, config: &HttpConfig) -> Self {
        Self {
            authy,
            table: RouteTable::new(routes::all()),
            public_table: RouteTable::new(routes::public()),
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            limiter: RateLimiter::new(&config.limits),
            streams: Streams::new(config),
            readiness: Readiness::default(),
            cors: Cors::new(&config.cors_origins),
            require_https: config.require_https,
            body_timeout: config.body_timeout,
            request_timeout: config.request_timeout,
        }
    }

    /// Answers a request within the deadline, also when a handler panics.
    pub(crate) async fn answer<B>(&self, listener: Listener, peer: IpAddr, request: Request<B>) -> Response
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let id = request::id(&head.headers);
        let name = id.to_str().unwrap_or_default();
        let client = self.proxies.client_address(peer, &head.headers);
        let mut rate_limit_headers = HeaderMap::new();

        // Work that is dropped, by this deadline or because the client hangs up, leaves no write half done: a
        // transaction that is dropped before its commit is rolled back.
        let answered = {
            // Pinned here, so that the wrappers around it move a pointer.
            let work = pin!(self.handle(listener, &head, body, client, name, &mut rate_limit_headers));
            let work = AssertUnwindSafe(timeout(self.request_timeout, work)).catch_unwind();
            // Not the path itself: paths contain one-time codes, and an unknown path may be that of a mistyped code.
            let span = tracing::debug_span!("request", id = name, method = %head.method, path = self.table(listener).pattern(head.uri.path()));
            match work.instrument(span).await {
                Ok(Ok(answered)) => answered,
                Ok(Err(_)) => Err(ErrorReply::new(ErrorKind::Unavailable, "the answer took too long")),
                // The panic has been printed with its place by the panic hook.
                Err(_) => Err(ErrorReply::new(ErrorKind::Internal, "answering the request panicked")),
            }
        };

        let mut response = answered.unwrap_or_else(|failure| match self.wants_page(listener, &head) {
            true => failure.into_page(name),
            false => failure.into_response(name),
        });
        let headers = response.headers_mut();
        headers.extend(rate_limit_headers);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if client.https {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        }
        self.cors.add_headers(&head, headers);
        headers.insert(REQUEST_ID, id);
        response
    }

    async fn handle<B>(
        &self,
        listener: Listener,
        head: &Parts,
        body: B,
        client: ClientAddress,
        id: &str,
        rate_limit_headers: &mut HeaderMap,
    ) -> Result<Response, ErrorReply>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        if listener.is_own() {
            message::check(head)?;
        }
        let path = head.uri.path();
        let found = self.table(listener).find(path);
        if found.is_none()
            && listener.has_operations()
            && let Some(operation) = Operation::find(path)
        {
            // Boxed, because it is rare: the future of every request would be as large.
            return Box::pin(operation.answer(&head.method, &self.authy, &self.readiness)).await;
        }
        let route = found.as_ref().and_then(|(resource, _)| resource.route(head, self.cors.is_preflight(head)));

        // A load balancer asks for the status from within, without https.
        if self.require_https && !client.https && route.is_none_or(|route| route.info.path != GetStatus::INFO.path) {
            return Err(ErrorReply::new(ErrorKind::HttpsRequired, "this server accepts requests over https only"));
        }
        self.limit(route.map_or(RateClass::Default, |route| route.info.limit), client, rate_limit_headers)?;

        let Some((resource, segments)) = found else {
            return Err(not_found());
        };
        let Some(route) = route else {
            if head.method == Method::OPTIONS {
                return Ok(reply::options(&resource.allow));
            }
            let wrong = ErrorReply::new(ErrorKind::MethodNotAllowed, "this path does not answer this method");
            return Err(wrong.with_header(ALLOW, resource.allow.clone()));
        };

        let info = ClientInfo { request_id: Some(id.to_owned()), ..ClientInfo::from_headers(&head.headers, client.ip) };
        // Refuses early, before the body is read. The engine proves the caller again in the transaction of a write.
        let caller = if route.info.access.needs_token() {
            let identity = self.authy.authenticate(access_token(&head.headers)?).await?;
            let user = segments.iter().find(|(name, _)| *name == "public_id").and_then(|(_, id)| id.parse().ok());
            if !listener.has_administration() && user.is_some_and(|user| user != identity.public_id) {
                return Err(not_found());
            }
            route.info.access.permit(&identity, user)?;
            Caller::user(identity, info)
        } else {
            Caller::anonymous(info)
        };
        let fields = request::fields(route.info, head, body, self.body_timeout).await?;
        let (authy, headers, streams) = (&self.authy, &head.headers, &self.streams);
        let is_head = head.method == Method::HEAD;
        let call = RawCall { authy, caller: &caller, is_head, segments: &segments, fields, headers, streams };
        Ok(route.answer(call).await?)
    }

    fn table(&self, listener: Listener) -> &RouteTable {
        if listener.has_administration() { &self.table } else { &self.public_table }
    }

    /// Returns whether the client gets an error as a page.
    fn wants_page(&self, listener: Listener, head: &Parts) -> bool {
        page::is_wanted(&head.headers)
            && self
                .table(listener)
                .find(head.uri.path())
                .is_some_and(|(resource, _)| resource.route(head, false).is_some_and(|route| route.info.has_page))
    }

    /// Counts a request, and adds the headers about the limits of its address.
    fn limit(&self, class: RateClass, client: ClientAddress, headers: &mut HeaderMap) -> Result<(), ErrorReply> {
        let Some(status) = self.limiter.count(class, client.ip) else { return Ok(()) };
        let permitted = status.permit();
        headers.insert(RATE_LIMIT_POLICY, status.policy);
        headers.insert(RATE_LIMIT, status.state);
        Ok(permitted?)
    }
}

fn not_found() -> ErrorReply {
    ErrorReply::new(ErrorKind::NotFound, "there is nothing at this path")
}
