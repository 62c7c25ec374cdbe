//! The tokens of a session, and their exchange: once for all callers, in a task that no caller interrupts.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use authy_core::{
    ErrorKind, Secret,
    api::session::{RefreshToken, Tokens},
    revocation::{Clock, Moment},
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::error::SessionError;
use crate::{Client, Error};

/// Pause after a failed refresh, while the access token is still valid. Much shorter than the 30 seconds in which the
/// server answers the same refresh token again: an answer that was lost is asked for in time.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Maximum time before its expiry at which an access token is no longer used: it may be on its way for as long.
const MAX_EXPIRY_MARGIN: Duration = Duration::from_secs(5);

/// Called with the tokens after each refresh.
pub(super) type OnRefresh = Box<dyn Fn(&Tokens) + Send + Sync>;

/// What the clones of a session share.
pub(super) struct SessionState {
    client: Client,
    clock: Clock,
    on_refresh: Option<OnRefresh>,
    /// `None` when the session is over.
    current: ArcSwapOption<Current>,
    /// When the last refresh failed; locked during a refresh and a logout.
    failed: Arc<Mutex<Option<Moment>>>,
}

/// The current tokens.
pub(super) struct Current {
    pub(super) tokens: Tokens,
    /// The client with the access token.
    pub(super) client: Client,
    /// The moment before the request for them: the server issued them later.
    requested: Moment,
}

impl Current {
    fn lifetime(&self) -> Duration {
        Duration::from_secs(self.tokens.expires_in)
    }

    /// Returns whether it is time for a refresh. The last quarter of the lifetime is left for an outage of the server.
    fn is_due(&self, now: Moment) -> bool {
        now.since(self.requested) >= self.lifetime() / 4 * 3
    }

    fn is_valid(&self, now: Moment) -> bool {
        let margin = (self.lifetime() / 10).min(MAX_EXPIRY_MARGIN);
        now.since(self.requested) < self.lifetime().saturating_sub(margin)
    }
}

impl SessionState {
    /// Creates the state of a session whose tokens `obtain` returns.
    pub(super) async fn start<E>(
        client: Client,
        on_refresh: Option<OnRefresh>,
        obtain: impl AsyncFnOnce(&Client) -> Result<Tokens, E>,
    ) -> Result<Self, E> {
        let clock = Clock::new();
        let requested = clock.now();
        let tokens = obtain(&client).await?;
        let current = Current { client: client.with_token(tokens.token.clone()), tokens, requested };
        let current = ArcSwapOption::from_pointee(current);
        Ok(Self { client, clock, on_refresh, current, failed: Arc::default() })
    }

    /// Reports tokens that were just exchanged.
    pub(super) fn report(&self, tokens: &Tokens) {
        self.on_refresh.iter().for_each(|on_refresh| on_refresh(tokens));
    }

    /// Returns the last tokens, valid or not.
    pub(super) fn last(&self) -> Option<Arc<Current>> {
        self.current.load_full()
    }

    /// Returns tokens that are valid, refreshed when it is time.
    pub(super) async fn valid(self: &Arc<Self>) -> Result<Arc<Current>, SessionError> {
        let (last, now) = (self.last().ok_or(SessionError::Ended)?, self.clock.now());
        if !last.is_due(now) {
            return Ok(last);
        }
        if last.is_valid(now) {
            // One caller begins a refresh, and none waits for it.
            if let Ok(failed) = self.failed.clone().try_lock_owned()
                && failed.is_none_or(|failed| now.since(failed) >= RETRY_PAUSE)
            {
                tokio::spawn(self.clone().refresh_in_background(failed));
            }
            return Ok(last);
        }
        let state = self.clone();
        uninterrupted(async move {
            let mut failed = state.failed.lock().await;
            // A failure is shared as well: else each caller would wait for those before it.
            if failed.is_some_and(|failed| failed.monotonic >= now.monotonic) {
                return Err(SessionError::Unavailable(Error::no_response("another call could not refresh it", false)));
            }
            state.refresh(&mut failed).await
        })
        .await
    }

    /// Returns other tokens than those with an access token that the server refused.
    pub(super) async fn other_than(self: Arc<Self>, refused: Secret) -> Result<Arc<Current>, SessionError> {
        let mut failed = self.failed.lock().await;
        let last = self.last().ok_or(SessionError::Ended)?;
        // Another caller may have replaced it.
        if last.tokens.token == refused { self.exchange(last, &mut failed).await } else { Ok(last) }
    }

    async fn refresh_in_background(self: Arc<Self>, mut failed: OwnedMutexGuard<Option<Moment>>) {
        if let Err(error) = self.refresh(&mut failed).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a session cannot be refreshed");
        }
    }

    /// Exchanges the refresh token, unless another caller has done that meanwhile.
    async fn refresh(&self, failed: &mut Option<Moment>) -> Result<Arc<Current>, SessionError> {
        let last = self.last().ok_or(SessionError::Ended)?;
        if last.is_due(self.clock.now()) { self.exchange(last, failed).await } else { Ok(last) }
    }

    async fn exchange(&self, last: Arc<Current>, failed: &mut Option<Moment>) -> Result<Arc<Current>, SessionError> {
        let requested = self.clock.now();
        let exchanged = exchange(&self.client, &last.tokens.refresh_token).await;
        *failed = exchanged.is_err().then(|| self.clock.now());
        let tokens = exchanged.inspect_err(|error| {
            if error.is_ended() {
                self.current.store(None);
            }
        })?;
        // Only a login returns it.
        let device_token = tokens.device_token.or_else(|| last.tokens.device_token.clone());
        let tokens = Tokens { device_token, ..tokens };
        let client = self.client.with_token(tokens.token.clone());
        let next = Arc::new(Current { tokens, client, requested });
        self.current.store(Some(next.clone()));
        self.report(&next.tokens);
        Ok(next)
    }

    /// Logs out, with an access token that is refreshed when it has expired.
    pub(super) async fn log_out(self: Arc<Self>) -> Result<(), SessionError> {
        let mut failed = self.failed.lock().await;
        let valid = match self.last() {
            Some(last) if last.is_valid(self.clock.now()) => Ok(last),
            _ => self.refresh(&mut failed).await,
        };
        let ended = match valid {
            Ok(current) => match current.client.logout().await {
                // The session may go on: a change of roles revokes its access tokens alone.
                Err(error) if error.kind() == Some(ErrorKind::InvalidToken) => {
                    match self.exchange(current, &mut failed).await {
                        Ok(current) => current.client.logout().await.map(drop).map_err(SessionError::Unavailable),
                        Err(error) => Err(error),
                    }
                }
                answer => answer.map(drop).map_err(SessionError::Unavailable),
            },
            Err(error) => Err(error),
        };
        match ended {
            // It is over, or was over before.
            Ok(()) | Err(SessionError::Ended) => {
                self.current.store(None);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Exchanges a refresh token. Without an answer it does so once more, at once: within 30 seconds the server returns
/// the same tokens again.
pub(super) async fn exchange(client: &Client, refresh_token: &Secret) -> Result<Tokens, SessionError> {
    let request = || client.refresh(RefreshToken { refresh_token: refresh_token.clone() });
    let answer = match request().await {
        Err(error) if error.may_have_been_sent() => request().await,
        answer => answer,
    };
    answer.map_err(|error| match error.kind() {
        Some(ErrorKind::InvalidRefreshToken) => SessionError::Ended,
        _ => SessionError::Unavailable(error),
    })
}

/// Runs a task to its end, even when the caller stops waiting for it: the answer to a refresh has the only refresh
/// token that remains valid.
pub(super) async fn uninterrupted<T: Send + 'static>(
    task: impl Future<Output = Result<T, SessionError>> + Send + 'static,
) -> Result<T, SessionError> {
    let lost =
        |cause| SessionError::Unavailable(Error::no_response("the refresh was interrupted", true).with_source(cause));
    tokio::spawn(task).await.unwrap_or_else(|cause| Err(lost(cause)))
}
