//! Answers one request, from its head to its answer.

use std::{
    error::Error as StdError,
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use authy_core::{
    Authenticator as _, Authy, ClientInfo, ErrorKind, UserId,
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
use tracing::{Instrument as _, Span};

use crate::{
    access_log::{AccessLog, AnsweredRequest},
    call::RawCall,
    cors::Cors,
    error_reply::ErrorReply,
    http_config::HttpConfig,
    limit::RateLimiter,
    metrics::{Scrape, ServerCounts, method_name},
    page,
    reply::{self, Response},
    request, routes,
    stream::Streams,
    table::{Resource, RouteTable},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Answers requests, independently of the connection.
pub(crate) struct Service {
    authy: Authy,
    table: RouteTable,
    proxies: TrustedProxies,
    /// Counts the requests of every address.
    pub(crate) limiter: RateLimiter,
    /// The streams that are open.
    pub(crate) streams: Streams,
    /// What is counted beside requests.
    pub(crate) counts: Arc<ServerCounts>,
    access_log: Option<AccessLog>,
    cors: Cors,
    require_https: bool,
    body_timeout: Duration,
    request_timeout: Duration,
}

/// What becomes known of a request while it is answered.
#[derive(Default)]
struct Progress {
    rate_limit_headers: HeaderMap,
    /// The owner of its token.
    user: Option<UserId>,
}

/// The endpoints of the path of a request, and the parameters in it.
type Found<'a> = Option<(&'a Resource, Vec<(&'a str, String)>)>;

impl Service {
    pub(crate) fn new(authy: Authy, config: &HttpConfig) -> Self {
        Self {
            authy,
            table: RouteTable::new(routes::all()),
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            limiter: RateLimiter::new(&config.limits),
            streams: Streams::new(config),
            counts: Arc::default(),
            access_log: config.access_log,
            cors: Cors::new(&config.cors_origins),
            require_https: config.require_https,
            body_timeout: config.body_timeout,
            request_timeout: config.request_timeout,
        }
    }

    /// Answers a request within the deadline, also when a handler panics.
    pub(crate) async fn answer<B>(&self, peer: IpAddr, request: Request<B>) -> Response
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let id = request::id(&head.headers);
        let name = id.to_str().unwrap_or_default();
        let client = self.proxies.client_address(peer, &head.headers);
        let found = self.table.find(head.uri.path());
        let metrics = found.as_ref().map_or(self.table.unknown(), |(resource, _)| &*resource.metrics);
        let is_frequent = found.as_ref().is_some_and(|(resource, _)| resource.is_frequent());
        let (method, route) = (method_name(&head.method), metrics.route);
        // The route and not the path: paths contain one-time codes, and an unknown path may be that of a mistyped code.
        let span = || tracing::error_span!("request", request_id = name, method, route);
        let mut progress = Progress::default();

        // Work that is dropped, by this deadline or because the client hangs up, leaves no write half done: a
        // transaction that is dropped before its commit is rolled back.
        let answered = {
            // Pinned here, so that the wrappers around it move a pointer.
            let work = pin!(self.handle(&head, body, client, name, &found, &mut progress));
            let work = AssertUnwindSafe(timeout(self.request_timeout, work)).catch_unwind();
            // A token check logs nothing but its failure, and a span would be a noticeable part of its time.
            let span = match is_frequent {
                true => tracing::debug_span!("request", request_id = name, method, route),
                false => span(),
            };
            match work.instrument(span).await {
                Ok(Ok(answered)) => answered,
                Ok(Err(_)) => Err(ErrorReply::new(ErrorKind::Unavailable, "the answer took too long")),
                // The panic has been printed with its place by the panic hook.
                Err(_) => Err(ErrorReply::new(ErrorKind::Internal, "answering the request panicked")),
            }
        };

        let mut response = answered.unwrap_or_else(|failure| {
            let span = if failure.is_server_error() { span() } else { Span::none() };
            span.in_scope(|| match Self::wants_page(&head, &found) {
                true => failure.into_page(name),
                false => failure.into_response(name),
            })
        });
        let duration = began.elapsed();
        metrics.record(&head.method, response.status(), duration);
        if let Some(log) = &self.access_log {
            let (ip, user) = (client.ip, progress.user);
            log.write(&AnsweredRequest { method, route, duration, ip, request_id: name, user, is_frequent }, &response);
        }
        let headers = response.headers_mut();
        headers.extend(progress.rate_limit_headers);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if client.https {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        }
        self.cors.add_headers(&head, headers);
        headers.insert(REQUEST_ID, id);
        response
    }

    /// Returns everything that is counted.
    pub(crate) fn scrape(&self) -> Scrape {
        Scrape {
            statistics: self.authy.statistics(),
            routes: self.table.metrics().to_vec(),
            server: self.counts.clone(),
            streams: self.streams.open_streams(),
        }
    }

    async fn handle<B>(
        &self,
        head: &Parts,
        body: B,
        client: ClientAddress,
        id: &str,
        found: &Found<'_>,
        progress: &mut Progress,
    ) -> Result<Response, ErrorReply>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let route = found.as_ref().and_then(|(resource, _)| resource.route(head, self.cors.is_preflight(head)));

        // A load balancer asks for the status from within, without https.
        if self.require_https && !client.https && route.is_none_or(|route| route.info.path != GetStatus::INFO.path) {
            return Err(ErrorReply::new(ErrorKind::HttpsRequired, "this server accepts requests over https only"));
        }
        self.limit(
            route.map_or(RateClass::Default, |route| route.info.limit),
            client,
            &mut progress.rate_limit_headers,
        )?;

        let Some((resource, segments)) = found else {
            return Err(ErrorReply::new(ErrorKind::NotFound, "there is nothing at this path"));
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
            let user = segments.iter().find(|(name, _)| *name == "public_id");
            route.info.access.permit(&identity, user.and_then(|(_, id)| id.parse().ok()))?;
            progress.user = Some(identity.public_id);
            Caller::user(identity, info)
        } else {
            Caller::anonymous(info)
        };
        let fields = request::fields(route.info, head, body, self.body_timeout).await?;
        let (authy, headers, streams) = (&self.authy, &head.headers, &self.streams);
        let is_head = head.method == Method::HEAD;
        let call = RawCall { authy, caller: &caller, is_head, segments, fields, headers, streams };
        Ok(route.answer(call).await?)
    }

    /// Returns whether the client gets an error as a page.
    fn wants_page(head: &Parts, found: &Found<'_>) -> bool {
        let route = found.as_ref().and_then(|(resource, _)| resource.route(head, false));
        page::is_wanted(&head.headers) && route.is_some_and(|route| route.info.has_page)
    }

    /// Counts a request, and adds the headers about the limits of its address.
    fn limit(&self, class: RateClass, client: ClientAddress, headers: &mut HeaderMap) -> Result<(), ErrorReply> {
        let Some(status) = self.limiter.count(class, client.ip) else { return Ok(()) };
        let permitted = status.permit();
        headers.insert(RATE_LIMIT_POLICY, status.policy);
        headers.insert(RATE_LIMIT, status.state);
        Ok(permitted.inspect_err(|_| self.counts.count_limited(class))?)
    }
}
