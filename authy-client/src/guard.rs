//! A tower layer that requires a valid token, and a level or a role.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use authy_core::{
    Authenticator, Error, ErrorKind, Identity, Level, RoleName,
    api::{Problem, access_token, challenge, status},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use tower_layer::Layer;
use tower_service::Service;

/// A tower layer that passes on requests with a valid token and the required level and role.
///
/// The inner service finds the [`Identity`] of the caller in the extensions of the request. Other requests are answered
/// with a problem document: 401 for an invalid token, 403 for a missing permission, 503 when the token cannot be
/// checked.
#[derive(Clone)]
pub struct RequireAuth {
    authenticator: Arc<dyn Authenticator>,
    level: Level,
    role: Option<RoleName>,
}

impl RequireAuth {
    /// Requires a valid token.
    pub fn new(authenticator: impl Authenticator + 'static) -> Self {
        Self { authenticator: Arc::new(authenticator), level: Level::clamped(u32::MAX), role: None }
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

    /// Returns the caller of a request with these headers, for services that do not use tower.
    ///
    /// # Errors
    /// [`ErrorKind::TokenRequired`], [`ErrorKind::ConflictingTokens`], [`ErrorKind::InvalidToken`],
    /// [`ErrorKind::InsufficientLevel`], [`ErrorKind::Unavailable`].
    pub async fn check(&self, headers: &HeaderMap) -> authy_core::Result<Identity> {
        let identity = self.authenticator.authenticate(access_token(headers)?).await?;
        if !identity.level.at_least(self.level) {
            return Err(Error::new(ErrorKind::InsufficientLevel, "your level does not permit this"));
        }
        let has_role = |role| identity.roles.as_ref().is_some_and(|roles| roles.contains(role));
        match &self.role {
            Some(role) if !has_role(role) => {
                Err(Error::new(ErrorKind::InsufficientLevel, "your roles do not permit this"))
            }
            _ => Ok(identity),
        }
    }

    /// Returns the answer to a request that was refused.
    pub fn refusal<B: From<Bytes>>(error: &Error, headers: &HeaderMap) -> Response<B> {
        let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let problem = serde_json::to_vec(&Problem::of(error, id)).unwrap_or_default();
        let mut response = Response::new(B::from(problem.into()));
        *response.status_mut() = status(error.kind());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = challenge(error.kind()) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if error.is_unavailable() {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl fmt::Debug for RequireAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireAuth").field("level", &self.level).field("role", &self.role).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RequireAuth {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// A service behind a [`RequireAuth`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    guard: RequireAuth,
    inner: S,
}

impl<S, B, A> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    A: From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

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
                    inner.call(request).await
                }
                Err(error) => {
                    if error.is_unavailable() {
                        tracing::warn!(%error, "a token cannot be checked");
                    }
                    Ok(RequireAuth::refusal(&error, request.headers()))
                }
            }
        })
    }
}
