//! The public keys, kept and fetched anew.

use std::{
    collections::HashSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use authy_core::{
    Error, ErrorKind, Result,
    api::session::JwkSet,
    claims::{LivesTooLong, MAX_ACCESS_LIFE, Token, Verifier, unverified_kid},
    token_cache::TokenCache,
};
use tokio::sync::Mutex;

use crate::Client;

/// How often a key that is not known may make us ask for the keys: made-up names must not become requests.
const COOLDOWN: Duration = Duration::from_secs(1);

/// How long keys are kept when the server does not say.
const UNTOLD: Duration = Duration::from_secs(300);

/// The keys as they are known here.
pub(super) struct Keys {
    client: Client,
    issuer: String,
    audience: String,
    verifier: ArcSwap<Verifier>,
    published: RwLock<Arc<JwkSet>>,
    // The longest life of a token that the server issues.
    longest_life: AtomicU64,
    // When they were asked for last, and whether there was an answer. Held while asking: whoever else needs them waits for
    // that answer.
    asked: Mutex<Option<(Instant, bool)>>,
    requests: AtomicU64,
    // Keys that could not be read, each of which is logged once.
    unreadable: RwLock<HashSet<String>>,
}

impl Keys {
    /// No keys yet.
    pub(super) fn new(client: Client, issuer: String, audience: String) -> Self {
        Self {
            client,
            issuer,
            audience,
            verifier: ArcSwap::from_pointee(Verifier::default()),
            published: RwLock::new(Arc::new(JwkSet { keys: Vec::new(), max_age: 0 })),
            longest_life: AtomicU64::new(MAX_ACCESS_LIFE.as_secs()),
            asked: Mutex::new(None),
            requests: AtomicU64::new(0),
            unreadable: RwLock::default(),
        }
    }

    /// Takes these keys instead of those that are known, for tokens that live so many seconds at most. A key that cannot be read
    /// does not keep the others out.
    pub(super) fn install(&self, keys: &JwkSet, longest_life: u64) -> Result<()> {
        let life = Duration::from_secs(longest_life);
        let readable = keys.keys.iter().filter(|key| {
            let read = Verifier::new(&self.issuer, &self.audience, life, [*key]);
            read.inspect_err(|error| self.report(&key.kid, error)).is_ok()
        });
        self.verifier.store(Arc::new(Verifier::new(&self.issuer, &self.audience, life, readable)?));
        self.longest_life.store(longest_life, Ordering::Relaxed);
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys.clone());
        Ok(())
    }

    fn report(&self, kid: &str, error: &Error) {
        if self.unreadable.write().unwrap_or_else(PoisonError::into_inner).insert(kid.to_owned()) {
            tracing::warn!(kid, %error, "a key of authy cannot be read: it is left out");
        }
    }

    /// The keys that are known.
    pub(super) fn published(&self) -> Arc<JwkSet> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The longest life of a token that the server issues, in seconds.
    pub(super) fn longest_life(&self) -> u64 {
        self.longest_life.load(Ordering::Relaxed)
    }

    /// How long they may be kept.
    pub(super) fn max_age(&self) -> Duration {
        match self.published().max_age {
            0 => UNTOLD,
            seconds => Duration::from_secs(seconds),
        }
    }

    /// How often the server was asked.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What a token says, from memory where its key is still among those that are known, else by those keys.
    pub(super) fn get_or_verify(&self, memory: &TokenCache, token: &str) -> Result<Arc<Token>> {
        memory.get_or_verify(token, &self.verifier.load())
    }

    /// What a token says, by the keys that are known.
    pub(super) fn verify(&self, token: &str) -> Result<Token> {
        self.verifier.load().verify(token)
    }

    /// The same for a token that was `refused`: when its key is not known, or it lives longer than was issued when the server was
    /// last asked, the server is asked again, by one for all, and not more often than once a second.
    pub(super) async fn verify_anew(&self, token: &str, refused: Error) -> Result<Token> {
        match unverified_kid(token) {
            Ok(kid) if !self.verifier.load().knows(&kid) || LivesTooLong::is_cause_of(&refused) => {
                self.refresh(COOLDOWN).await?;
                self.verify(token)
            }
            _ => Err(refused),
        }
    }

    /// Asks for the keys because they may have changed. A token with a key that the answer lacks may ask again at once: the
    /// server may have been about to publish it.
    pub(super) async fn renew(&self) -> Result<()> {
        let mut asked = self.asked.lock().await;
        self.ask(&mut asked).await?;
        *asked = None;
        Ok(())
    }

    /// Asks for the keys, unless that was done within `cooldown`.
    async fn refresh(&self, cooldown: Duration) -> Result<()> {
        let mut asked = self.asked.lock().await;
        let answered = match *asked {
            Some((at, answered)) if at.elapsed() < cooldown => answered,
            _ => {
                self.ask(&mut asked).await?;
                true
            }
        };
        // Without an answer nobody can tell whether there is such a key.
        let unknown = || Error::new(ErrorKind::Unavailable, "the keys of authy cannot be asked for");
        if answered { Ok(()) } else { Err(unknown()) }
    }

    async fn ask(&self, asked: &mut Option<(Instant, bool)>) -> Result<()> {
        *asked = Some((Instant::now(), false));
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (keys, longest_life) = tokio::join!(self.client.get_keys(), self.ask_longest_life());
        let keys = keys.map_err(crate::Error::into_authentication_error)?;
        self.install(&keys, longest_life.unwrap_or_else(|| self.longest_life()))?;
        *asked = Some((Instant::now(), true));
        Ok(())
    }

    /// How long tokens may live, by the server; `None` when it does not say. Then what was known goes on to hold: this is limited as
    /// the keys are not, and must not keep a new key from being known.
    async fn ask_longest_life(&self) -> Option<u64> {
        match self.client.get_metadata().await {
            // What another issuer says is not to be used (RFC 8414, section 3.3).
            Ok(metadata) if metadata.issuer == self.issuer => Some(metadata.access_token_max_lifetime),
            Ok(metadata) => {
                tracing::warn!(issuer = metadata.issuer, expected = self.issuer, "metadata of another issuer ignored");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the maximum lifetime of tokens cannot be fetched from authy");
                None
            }
        }
    }
}
