//! A [tower](tower_service) layer that requires a valid token, and a level or a role.
//!
//! It works with any service of tower: axum, hyper, tonic.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{Either, Full};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Authenticator, Error, ErrorKind, Identity, Level, Result, RoleName,
    api::{access_token, failure},
    client_info::request_id,
};

/// A tower layer that passes on requests with a valid token and the required level and role.
///
/// The inner service finds the [`Identity`] of the caller in the extensions of the request. Other requests are answered
/// with a problem document: 401 for an invalid token, 403 for a missing permission, 503 when the token cannot be
/// checked. [`refuse_with`](Self::refuse_with) sets another answer.
///
/// ```
/// use std::convert::Infallible;
///
/// use authy_core::{Authenticator, Identity, tower::RequireAuth};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// # fn guarded(
/// #     authenticator: impl Authenticator + 'static,
/// # ) -> Result<impl Service<Request<Full<Bytes>>>, Box<dyn std::error::Error>> {
/// async fn bids(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
///     let caller = request.extensions().get::<Identity>().map(|caller| caller.public_id.to_string());
///     Ok(Response::new(Full::from(caller.unwrap_or_default())))
/// }
///
/// // An `Authy`, or the `Client` or `LocalVerifier` of authy-client.
/// let guard = RequireAuth::new(authenticator).level(10).role("bidder".parse()?);
/// let service = ServiceBuilder::new().layer(guard).service(service_fn(bids));
/// # Ok(service)
/// # }
/// ```
#[derive(Clone)]
pub struct RequireAuth {
    authenticator: Arc<dyn Authenticator>,
    level: Level,
    role: Option<RoleName>,
    refuse: Arc<Refuse>,
}

type Refuse = dyn Fn(&Error, &HeaderMap) -> Response<Bytes> + Send + Sync;

impl RequireAuth {
    /// Requires a valid token.
    pub fn new(authenticator: impl Authenticator + 'static) -> Self {
        Self {
            authenticator: Arc::new(authenticator),
            level: Level::clamped(u32::MAX),
            role: None,
            refuse: Arc::new(Self::refusal),
        }
    }

    /// Requires this level or a smaller one: a smaller level is more power.
    #[must_use]
    pub fn level(mut self, level: u32) -> Self {
        self.level = Level::clamped(level);
        self
    }

    /// Requires a role. A token with too many roles for its maximum length contains none of them, and is refused here;
    /// it always contains the level.
    #[must_use]
    pub fn role(mut self, role: RoleName) -> Self {
        self.role = Some(role);
        self
    }

    /// Sets the answer to refused requests, from the error and the headers of the request, for services whose callers
    /// do not read problem documents. A refusal of gRPC has the status 200 and the code in a header:
    ///
    /// ```
    /// use authy_core::{Authenticator, Error, ErrorKind, tower::RequireAuth};
    /// use bytes::Bytes;
    /// use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
    ///
    /// fn refuse(error: &Error, _: &HeaderMap) -> Response<Bytes> {
    ///     let code = match error.kind() {
    ///         ErrorKind::InsufficientLevel => "7", // PERMISSION_DENIED
    ///         ErrorKind::Unavailable => "14",      // UNAVAILABLE
    ///         _ => "16",                           // UNAUTHENTICATED
    ///     };
    ///     let mut response = Response::default();
    ///     response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    ///     response.headers_mut().insert("grpc-status", HeaderValue::from_static(code));
    ///     response
    /// }
    ///
    /// # fn guard(authenticator: impl Authenticator + 'static) -> RequireAuth {
    /// RequireAuth::new(authenticator).refuse_with(refuse)
    /// # }
    /// ```
    #[must_use]
    pub fn refuse_with(
        mut self,
        refuse: impl Fn(&Error, &HeaderMap) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.refuse = Arc::new(move |error, headers| {
            failure::log(error, plain_request_id(headers));
            refuse(error, headers)
        });
        self
    }

    /// Returns the caller of a request with these headers, for services that do not use tower.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`], [`ErrorKind::ConflictingTokens`], [`ErrorKind::InvalidToken`],
    /// [`ErrorKind::InsufficientLevel`], [`ErrorKind::Unavailable`].
    pub async fn check(&self, headers: &HeaderMap) -> Result<Identity> {
        let identity = self.authenticate(headers).await?;
        self.permit(&identity)?;
        Ok(identity)
    }

    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Identity> {
        self.authenticator.authenticate(access_token(headers)?).await
    }

    pub(crate) fn permit(&self, identity: &Identity) -> Result<()> {
        if !identity.at_least(self.level) {
            return Err(insufficient_level());
        }
        match &self.role {
            Some(role) if !identity.has_role(role) => {
                Err(Error::new(ErrorKind::InsufficientLevel, "your roles do not permit this"))
            }
            _ => Ok(()),
        }
    }

    /// Logs a refused request, and returns the problem document that answers it.
    pub fn refusal<B: From<Bytes>>(error: &Error, headers: &HeaderMap) -> Response<B> {
        failure::response(error, plain_request_id(headers), None).map(|problem| B::from(problem.into()))
    }
}

pub(crate) fn insufficient_level() -> Error {
    Error::new(ErrorKind::InsufficientLevel, "your level does not permit this")
}

/// Returns the ID of a request, or an empty text.
pub(crate) fn plain_request_id(headers: &HeaderMap) -> &str {
    request_id(headers).and_then(|id| id.to_str().ok()).unwrap_or_default()
}

impl fmt::Debug for RequireAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireAuth").field("level", &self.level).field("role", &self.role).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RequireAuth {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: Arc::new(self.clone()), inner }
    }
}

/// A service behind a [`RequireAuth`]. The body of a response is that of the inner service, or of a refusal.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    guard: Arc<RequireAuth>,
    inner: S,
}

impl<S, B, A> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Either<A, Full<Bytes>>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that was polled ready gets the request; its clone may not be ready.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let guard = self.guard.clone();
        Box::pin(async move {
            match guard.check(request.headers()).await {
                Ok(identity) => {
                    request.extensions_mut().insert(identity);
                    inner.call(request).await.map(|response| response.map(Either::Left))
                }
                Err(error) => {
                    let refusal = (guard.refuse)(&error, request.headers());
                    Ok(refusal.map(|body| Either::Right(Full::new(body))))
                }
            }
        })
    }
}
