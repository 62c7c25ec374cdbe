//! Verifies tokens without a request for each, by public keys and revocations that are kept current in the background.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use authy_core::{
    Authenticator, Error, ErrorKind, Identity, Result,
    revocation::{Clock, Freshness, ServerClock},
    token_cache::TokenCache,
};
use chrono::TimeDelta;
use tokio::task::AbortHandle;

use crate::Client;

mod follow;
#[cfg(feature = "fuzz-entry-points")]
pub(crate) mod fuzz;
mod keys;
mod snapshot_file;
mod start_error;
mod state;

use follow::RevocationFollower;
use keys::VerificationKeys;
use snapshot_file::SnapshotFile;
pub use start_error::StartError;
use state::VerifierState;
pub use state::WhenStale;

impl Client {
    /// Begins a verifier, which verifies tokens without a request for each.
    ///
    /// The token of this client, if it has one, is sent when the stream of revocations is opened, so that the verifier
    /// gets one of the server's places for callers with a token. For a service that runs for longer than its token is
    /// valid, add its network to `AUTHY_FOLLOWER_NETWORKS` of the server instead.
    pub fn verifier(&self) -> VerifierBuilder {
        VerifierBuilder::new(self.without_user())
    }
}

/// Configures and starts a [`LocalVerifier`].
#[derive(Debug)]
pub struct VerifierBuilder {
    client: Client,
    issuer: String,
    audience: String,
    max_staleness: Duration,
    when_stale: WhenStale,
    file: Option<PathBuf>,
}

impl VerifierBuilder {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            // The default issuer of a server is its address.
            issuer: client.url().to_owned(),
            client,
            audience: "authy".to_owned(),
            // A restart of the server takes less; a logout must not take effect later.
            max_staleness: Duration::from_secs(30),
            when_stale: WhenStale::Refuse,
            file: None,
        }
    }

    /// Sets the issuer of the tokens (`iss`): the server's `AUTHY_ISSUER`. The client's URL when not set.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Sets the audience of the tokens (`aud`): the server's `AUTHY_AUDIENCE`. `authy` when not set.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Sets the maximum age of the known revocations; beyond it the verifier answers `Unavailable`. 30 seconds when not
    /// set. The age counts from the time of the server's snapshot, not of its arrival, by the wall clock or the
    /// monotonic clock, whichever shows more.
    #[must_use]
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness;
        self
    }

    /// Sets what the verifier does beyond that age.
    #[must_use]
    pub fn when_stale(mut self, what: WhenStale) -> Self {
        self.when_stale = what;
        self
    }

    /// Saves keys and revocations to a file, so that a program that starts while the server is down can verify tokens,
    /// as long as the file is not older than [`max_staleness`](Self::max_staleness).
    ///
    /// A file that another user owns or can replace is not used, and a warning says so: its keys decide whose tokens
    /// are accepted.
    #[must_use]
    pub fn persist_to(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Fetches the keys and the revocations, and starts to follow both.
    ///
    /// # Errors
    /// [`StartError::Issuer`] and [`StartError::Audience`] when the server's differs from the verifier's;
    /// [`StartError::Unavailable`] when the server cannot be reached, and there is no file that is recent enough. A
    /// verifier that starts from its file compares as soon as the server answers, and logs an error.
    pub async fn start(self) -> Result<LocalVerifier, StartError> {
        let Self { client, issuer, audience, max_staleness, when_stale, file } = self;
        let file = file.map(|file| SnapshotFile::new(file, &issuer));
        let saved = match &file {
            Some(file) => file.load().await,
            None => None,
        };
        let keys = VerificationKeys::new(client.clone(), issuer, audience);
        let state = Arc::new(VerifierState {
            client,
            keys,
            cache: TokenCache::new(),
            set: RwLock::default(),
            clock: Clock::new(),
            freshness: Freshness::new(),
            server_clock: ServerClock::new(),
            max_staleness,
            when_stale,
        });
        let mut cursor = None;
        let mut is_usable = false;
        if let Some(saved) = saved {
            state.keys.install(&saved.keys, saved.longest_lifetime);
            state.apply(&saved.revocations);
            state.freshness.set(state.clock.now().minus(saved.age()));
            cursor = Some(saved.cursor);
            is_usable = state.is_current() || when_stale == WhenStale::AskServer;
        }
        let mut follower = RevocationFollower::new(state.clone(), file, cursor);
        match follower.connect().await {
            Ok(None) => {}
            Ok(Some(mismatch)) => return Err(mismatch),
            Err(error) if is_usable => {
                tracing::warn!(%error, "authy cannot be reached: using the saved keys and revocations")
            }
            Err(error) => return Err(StartError::Unavailable(error)),
        }
        let task = tokio::spawn(follower.run());
        Ok(LocalVerifier { state, _follower: Arc::new(AbortOnDrop(task.abort_handle())) })
    }
}

/// Verifies tokens without a request for each. Cheap to clone; it stops following when the last clone is dropped.
///
/// ```no_run
/// use authy_client::{Authenticator as _, Client, ErrorKind, WhenStale};
///
/// # async fn run(token: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://authy:8080").dangerous_allow_plain_http().build()?;
/// let verifier = client.verifier().issuer("https://auth.example.org").when_stale(WhenStale::AskServer).start().await?;
///
/// match verifier.authenticate(token).await {
///     Ok(caller) => println!("{} has level {}", caller.public_id, caller.level),
///     Err(error) if error.kind() == ErrorKind::InvalidToken => println!("401"),
///     Err(error) => println!("503: {error}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LocalVerifier {
    state: Arc<VerifierState>,
    _follower: Arc<AbortOnDrop>,
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Authenticator for LocalVerifier {
    async fn authenticate(&self, token: &str) -> Result<Identity> {
        let state = &*self.state;
        let verified = match state.keys.get_or_verify(&state.cache, token) {
            Ok(verified) => verified,
            Err(refused) => {
                let again = state.keys.verify_anew(token, refused).await;
                Arc::new(again.map_err(|refused| state.explain(refused))?.into())
            }
        };
        if !state.is_current() {
            return match state.when_stale {
                WhenStale::Refuse => Err(Error::new(ErrorKind::Unavailable, "the known revocations are too old")),
                WhenStale::AskServer => state.client.authenticate(token).await,
            };
        }
        match state.revokes(&verified) {
            true => Err(Error::new(ErrorKind::InvalidToken, "the token is no longer valid")),
            false => Ok(verified.identity.clone()),
        }
    }
}

impl LocalVerifier {
    /// Returns the age of the known revocations: the time since the server took the last snapshot that arrived. About a
    /// second at most while the connection works.
    pub fn staleness(&self) -> Option<Duration> {
        self.state.staleness()
    }

    /// Returns how far the clock of this machine is ahead of the clock of the server's database; negative when it is
    /// behind, zero when the time of the exchange explains the difference, and `None` before the first answer. Beyond 30
    /// seconds a token that is refused for its times gets [`ErrorKind::Unavailable`].
    pub fn clock_skew(&self) -> Option<TimeDelta> {
        self.state.server_clock.skew(self.state.clock.now())
    }

    /// Returns the number of requests for the public keys since the start.
    pub fn key_requests(&self) -> u64 {
        self.state.keys.requests()
    }
}

impl fmt::Debug for LocalVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalVerifier").field("staleness", &self.staleness()).finish_non_exhaustive()
    }
}
