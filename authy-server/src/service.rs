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
    HeaderMap, HeaderName, HeaderValue,
    header::{ALLOW, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS},
    request::Parts,
};
use hyper::body::Body;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

#[cfg(feature = "ui")]
use crate::ui::{self, Form, FoundPage, Sites};
use crate::{
    access_log::{AccessLog, LoggedRequest},
    call::RawCall,
    cors::Cors,
    error_reply::ErrorReply,
    http_config::HttpConfig,
    limit::RateLimiter,
    listener::Listener,
    message,
    metrics::{RouteMetrics, Scrape, ServerCounts, method_name},
    operations::{Operation, Readiness},
    page,
    peer::Peer,
    reply::{self, Response},
    request, routes,
    stream::Streams,
    table::{RouteTable, is_forwarded},
    traces::RequestTracer,
};

mod found;
mod memory;
mod unanswered;

use found::{Found, Site};
use memory::MemoryRoute;
use unanswered::Unanswered;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Answers requests, independently of the connection.
pub(crate) struct Service {
    authy: Authy,
    table: RouteTable,
    /// The routes of the listener for everybody beside an admin listener.
    public_table: RouteTable,
    memory_route: Option<MemoryRoute>,
    proxies: TrustedProxies,
    /// Counts the requests of every address.
    pub(crate) limiter: RateLimiter,
    /// The streams that are open.
    pub(crate) streams: Streams,
    /// Whether the server should get requests.
    pub(crate) readiness: Readiness,
    /// What is counted beside requests.
    pub(crate) counts: Arc<ServerCounts>,
    access_log: Option<AccessLog>,
    tracer: RequestTracer,
    cors: Cors,
    require_https: bool,
    body_timeout: Duration,
    request_timeout: Duration,
    /// The pages for people, if they are on.
    #[cfg(feature = "ui")]
    sites: Option<Sites>,
}

/// Where a request came from, and its ID.
#[derive(Clone, Copy)]
struct Origin<'a> {
    listener: Listener,
    client: ClientAddress,
    /// Whether the client itself has shown a certificate.
    is_certified: bool,
    id: &'a str,
}

/// What becomes known of a request while it is answered.
#[derive(Default)]
struct Progress {
    rate_limit_headers: HeaderMap,
    /// The owner of its token.
    user: Option<UserId>,
}

impl Service {
    pub(crate) fn new(authy: Authy, config: &HttpConfig) -> Self {
        let adapted = |routes| match config.compat {
            Some(compat) => compat.adapt(routes),
            None => routes,
        };
        let table = RouteTable::new(adapted(routes::all()));
        #[cfg(feature = "ui")]
        let sites = config.pages.as_ref().map(Sites::new);
        #[cfg(feature = "ui")]
        let table = match &sites {
            Some(sites) => table.with_pages(sites.current().paths()),
            None => table,
        };
        Self {
            #[cfg(feature = "ui")]
            sites,
            authy,
            public_table: table.part(adapted(routes::public())),
            memory_route: MemoryRoute::new(&table),
            table,
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            limiter: RateLimiter::new(&config.limits),
            streams: Streams::new(config),
            readiness: Readiness::default(),
            counts: Arc::default(),
            access_log: config.access_log,
            tracer: RequestTracer::new(config),
            cors: Cors::new(&config.cors_origins),
            require_https: config.require_https,
            body_timeout: config.body_timeout,
            request_timeout: config.request_timeout,
        }
    }

    /// Answers a request within the deadline, also when a handler panics.
    pub(crate) async fn answer<B>(&self, listener: Listener, peer: Peer, head: Parts, body: B) -> Response
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let began = Instant::now();
        let id = request::id(&head.headers);
        let name = id.to_str().unwrap_or_default();
        let client = self.client(peer, &head.headers);
        // The certificate of a proxy says nothing about its clients.
        let is_certified = peer.is_certified && !is_forwarded(&head.headers);
        let site = self.site(&head);
        let site = site.as_deref();
        let found = self.find(listener, peer.ip, &head, site);
        let (metrics, is_frequent) = (self.metrics(&found), found.is_frequent());
        let (method, route) = (method_name(&head.method), metrics.route);
        // The route and not the path: paths contain one-time codes, and an unknown path may be that of a mistyped code.
        let span = || tracing::error_span!("request", request_id = name, method, route);
        let traced = self.tracer.begin(&head, route, is_frequent);
        let mut progress = Progress::default();
        let (ip, request_id, trace_id) = (client.ip, name, traced.trace_id());
        let request = LoggedRequest { method, route, ip, request_id, trace_id, is_frequent };
        let unanswered = Unanswered { log: self.access_log, metrics, method: &head.method, request, began };

        // Work that is dropped, by this deadline or because the client hangs up, leaves no write half done: a
        // transaction that is dropped before its commit is rolled back.
        let answered = {
            let origin = Origin { listener, client, is_certified, id: name };
            // Pinned here, so that the wrappers around it move a pointer.
            let work = pin!(self.handle(origin, &head, body, &found, &mut progress));
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
            span.in_scope(|| self.failure(failure, &head, &found, site, name))
        });
        unanswered.answer(response.status(), response.body().size_hint().exact(), progress.user);
        traced.end(client, name, &response);
        let headers = response.headers_mut();
        headers.extend(progress.rate_limit_headers);
        self.add_headers(&head, client, id, headers);
        response
    }

    /// Adds the headers of every response.
    fn add_headers(&self, head: &Parts, client: ClientAddress, id: HeaderValue, headers: &mut HeaderMap) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if client.https {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        }
        self.cors.add_headers(head, headers);
        headers.insert(REQUEST_ID, id);
    }

    /// Returns the response to a request that failed.
    fn failure(
        &self,
        failure: ErrorReply,
        head: &Parts,
        found: &Found<'_>,
        site: Option<&Site>,
        request_id: &str,
    ) -> Response {
        #[cfg(not(feature = "ui"))]
        let _ = site;
        #[cfg(feature = "ui")]
        if let Some(site) = site.filter(|_| ui::owns(head.uri.path())) {
            return failure.into_site_page(site, head, request_id);
        }
        match Self::wants_page(head, found) {
            true => failure.into_page(request_id),
            false => failure.into_response(request_id),
        }
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
        origin: Origin<'_>,
        head: &Parts,
        body: B,
        found: &Found<'_>,
        progress: &mut Progress,
    ) -> Result<Response, ErrorReply>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Origin { listener, client, is_certified, id } = origin;
        if listener.is_own() {
            message::check(head)?;
        }
        if let Found::Operation(operation) = found {
            // Boxed, because it is rare: the future of every request would be as large.
            return Box::pin(operation.answer(head, &self.authy, &self.readiness, || self.scrape())).await;
        }
        #[cfg(feature = "ui")]
        if let Found::Page(site, page) = found {
            return Box::pin(self.show(origin, head, body, (site, page), progress)).await;
        }
        let found = found.endpoints();
        let route = found.and_then(|(resource, _)| resource.route(head, self.cors.is_preflight(head)));

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
            progress.user = Some(identity.public_id);
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
        let call = RawCall { authy, caller: &caller, is_head, is_certified, segments, fields, headers, streams };
        Ok(route.answer(call).await?)
    }

    /// Answers a request for a page.
    #[cfg(feature = "ui")]
    async fn show<B>(
        &self,
        origin: Origin<'_>,
        head: &Parts,
        body: B,
        (site, page): (&Site, &FoundPage<'_>),
        progress: &mut Progress,
    ) -> Result<Response, ErrorReply>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Origin { client, id, .. } = origin;
        if self.require_https && !client.https {
            return Err(ErrorReply::new(ErrorKind::HttpsRequired, "this server accepts requests over https only"));
        }
        // Before the limit of its class is touched: another site must not use up the logins of its visitors.
        let foreign = site.refuse_foreign(head);
        let class = if foreign.is_some() { RateClass::Default } else { page.row().limit(&head.method) };
        self.limit(class, client, &mut progress.rate_limit_headers)?;
        if let Some(refused) = foreign {
            return Ok(refused);
        }
        if !page.row().answers(&head.method) {
            if head.method == Method::OPTIONS {
                return Ok(reply::options(&page.allow()));
            }
            let wrong = ErrorReply::new(ErrorKind::MethodNotAllowed, "this page does not answer this method");
            return Err(wrong.with_header(ALLOW, page.allow()));
        }
        let form = match head.method == Method::POST {
            true => Form::read(head, body, self.body_timeout).await?,
            false => Form::default(),
        };
        let info = ClientInfo { request_id: Some(id.to_owned()), ..ClientInfo::from_headers(&head.headers, client.ip) };
        Ok(site.answer(&self.authy, page, (head, form), info, &mut progress.user).await)
    }

    /// Returns the client of a request, and whether it arrived over https: as a trusted proxy says, else as this process sees it.
    fn client(&self, peer: Peer, headers: &HeaderMap) -> ClientAddress {
        let client = self.proxies.client_address(peer.ip, headers);
        let https = client.https || peer.is_encrypted && !self.proxies.names_protocol(peer.ip, headers);
        ClientAddress { https, ..client }
    }

    fn find<'a>(&'a self, listener: Listener, peer: IpAddr, head: &'a Parts, site: Option<&'a Site>) -> Found<'a> {
        match self.table(listener).find(head.uri.path()) {
            Some((resource, segments)) => Found::Endpoints(resource, segments),
            None => match Operation::find(listener, peer, head) {
                Some(operation) => Found::Operation(operation),
                None => Found::page(site, listener, head),
            },
        }
    }

    fn metrics<'a>(&'a self, found: &Found<'a>) -> &'a RouteMetrics {
        match found {
            Found::Endpoints(resource, _) => &resource.metrics,
            Found::Operation(operation) => self.table.operation(*operation),
            #[cfg(feature = "ui")]
            Found::Page(_, page) => self.table.page(page.path()),
            Found::Nothing => self.table.unknown(),
        }
    }

    fn table(&self, listener: Listener) -> &RouteTable {
        if listener.has_administration() { &self.table } else { &self.public_table }
    }

    /// Returns whether the client gets an error as a page.
    fn wants_page(head: &Parts, found: &Found<'_>) -> bool {
        let route = found.endpoints().and_then(|(resource, _)| resource.route(head, false));
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

fn not_found() -> ErrorReply {
    ErrorReply::new(ErrorKind::NotFound, "there is nothing at this path")
}
