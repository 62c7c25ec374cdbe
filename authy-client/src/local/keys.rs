//! The cached public keys.

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
    api::{session::JwkSet, system::ServerMetadata},
    claims::{LifetimeTooLong, MAX_TOKEN_LIFETIME, Token, Verifier, unverified_kid},
    token_cache::{CachedToken, TokenCache},
};
use tokio::sync::Mutex;

use super::start_error::StartError;
use crate::Client;

/// Minimum time between requests for the keys because of an unknown key id: forged ids must not cause requests.
const KEY_REQUEST_INTERVAL: Duration = Duration::from_secs(1);

/// How long keys are cached when the server sends no maximum age.
const DEFAULT_KEY_MAX_AGE: Duration = Duration::from_secs(300);

/// The cached keys, and what tokens may be by the metadata of the server.
pub(super) struct VerificationKeys {
    client: Client,
    issuer: String,
    audience: String,
    verifier: ArcSwap<Verifier>,
    published: RwLock<Arc<JwkSet>>,
    /// Maximum lifetime of a token that the server issues, in seconds.
    longest_lifetime: AtomicU64,
    /// The time of the last request, and whether it was answered. Locked during a request: others that need the keys
    /// wait for its answer.
    asked: Mutex<Option<(Instant, bool)>>,
    requests: AtomicU64,
    /// The ids of keys that could not be read; each is logged once.
    unreadable: RwLock<HashSet<String>>,
}

impl VerificationKeys {
    /// Creates an empty cache.
    pub(super) fn new(client: Client, issuer: String, audience: String) -> Self {
        Self {
            client,
            issuer,
            audience,
            verifier: ArcSwap::from_pointee(Verifier::default()),
            published: RwLock::new(Arc::new(JwkSet { keys: Vec::new(), max_age: 0 })),
            longest_lifetime: AtomicU64::new(MAX_TOKEN_LIFETIME.as_secs()),
            asked: Mutex::new(None),
            requests: AtomicU64::new(0),
            unreadable: RwLock::default(),
        }
    }

    /// Replaces the keys, and sets the maximum lifetime of tokens in seconds. A key that cannot be read is left out.
    pub(super) fn install(&self, keys: &JwkSet, longest_lifetime: u64) {
        let lifetime = Duration::from_secs(longest_lifetime);
        let readable = keys.keys.iter().filter(|key| {
            let read = Verifier::new(&self.issuer, &self.audience, lifetime, [*key]);
            read.inspect_err(|error| self.report(&key.kid, error)).is_ok()
        });
        // Each of them could be read. If they could not be read together, every token would be refused.
        let verifier = Verifier::new(&self.issuer, &self.audience, lifetime, readable).unwrap_or_default();
        self.verifier.store(Arc::new(verifier.replacing(&self.verifier.load())));
        self.longest_lifetime.store(longest_lifetime, Ordering::Relaxed);
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys.clone());
    }

    fn report(&self, kid: &str, error: &Error) {
        if self.unreadable.write().unwrap_or_else(PoisonError::into_inner).insert(kid.to_owned()) {
            tracing::warn!(kid, %error, "a key of authy cannot be read: it is left out");
        }
    }

    /// Returns the cached keys.
    pub(super) fn published(&self) -> Arc<JwkSet> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the maximum lifetime of a token that the server issues, in seconds.
    pub(super) fn longest_lifetime(&self) -> u64 {
        self.longest_lifetime.load(Ordering::Relaxed)
    }

    /// Returns how long the keys may be cached.
    pub(super) fn max_age(&self) -> Duration {
        match self.published().max_age {
            0 => DEFAULT_KEY_MAX_AGE,
            seconds => Duration::from_secs(seconds),
        }
    }

    /// Returns the number of requests for the keys.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Verifies a token, from the cache when its key is still cached.
    pub(super) fn get_or_verify(&self, cache: &TokenCache, token: &str) -> Result<Arc<CachedToken>> {
        cache.get_or_verify(token, &self.verifier.load())
    }

    /// Verifies a token by the cached keys.
    pub(super) fn verify(&self, token: &str) -> Result<Token> {
        self.verifier.load().verify(token)
    }

    /// Verifies a token that was `refused` again. When its key is unknown, or its lifetime exceeds the known maximum,
    /// the keys are fetched first: once for all waiting callers, at most once per second.
    pub(super) async fn verify_anew(&self, token: &str, refused: Error) -> Result<Token> {
        match unverified_kid(token) {
            Ok(kid) if !self.verifier.load().knows(&kid) || LifetimeTooLong::is_cause_of(&refused) => {
                self.refresh(KEY_REQUEST_INTERVAL).await?;
                self.verify(token)
            }
            _ => Err(refused),
        }
    }

    /// Fetches the keys because they may have changed. A token with a key that is missing from the answer may fetch
    /// them again at once: the server may have published it meanwhile.
    ///
    /// Returns the setting by which the verifier refuses every token of the server, if there is one.
    pub(super) async fn renew(&self) -> Result<Option<StartError>> {
        let mut asked = self.asked.lock().await;
        let mismatch = self.ask(&mut asked).await?;
        *asked = None;
        Ok(mismatch)
    }

    /// Fetches the keys, unless that was done within `interval`.
    async fn refresh(&self, interval: Duration) -> Result<()> {
        let mut asked = self.asked.lock().await;
        let answered = match *asked {
            Some((at, answered)) if at.elapsed() < interval => answered,
            _ => {
                self.ask(&mut asked).await?;
                true
            }
        };
        // Without an answer it is unknown whether the key exists.
        let unknown = || Error::new(ErrorKind::Unavailable, "the keys of authy cannot be asked for");
        if answered { Ok(()) } else { Err(unknown()) }
    }

    async fn ask(&self, asked: &mut Option<(Instant, bool)>) -> Result<Option<StartError>> {
        *asked = Some((Instant::now(), false));
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (keys, metadata) = tokio::join!(self.client.get_keys(), self.client.get_metadata());
        let keys = keys.map_err(crate::Error::into_authentication_error)?;
        // The request for the metadata is rate limited, unlike that for the keys, and must not delay a new key. Without
        // an answer the known lifetime is kept.
        let metadata = metadata.inspect_err(|error| {
            tracing::warn!(%error, "the maximum lifetime of tokens cannot be fetched from authy");
        });
        let metadata = metadata.ok();
        // Metadata of another issuer must not be used (RFC 8414, section 3.3).
        let own = metadata.as_ref().filter(|metadata| metadata.issuer == self.issuer);
        let longest_lifetime = own.map_or_else(|| self.longest_lifetime(), |own| own.access_token_max_lifetime);
        self.install(&keys, longest_lifetime);
        *asked = Some((Instant::now(), true));
        Ok(metadata.and_then(|metadata| self.mismatch(metadata)))
    }

    fn mismatch(&self, server: ServerMetadata) -> Option<StartError> {
        if server.issuer != self.issuer {
            return Some(StartError::Issuer { server: server.issuer, expected: self.issuer.clone() });
        }
        if server.access_token_audience != self.audience {
            let expected = self.audience.clone();
            return Some(StartError::Audience { server: server.access_token_audience, expected });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use authy_core::Jwk;

    use super::*;

    fn key(kid: &str, x: &str) -> Jwk {
        let (kty, usage, alg, crv) = ("OKP".into(), "sig".into(), "EdDSA".into(), Some("Ed25519".into()));
        Jwk { kty, kid: kid.into(), usage, alg, crv, x: Some(x.into()), y: None, n: None, e: None }
    }

    #[test]
    fn a_key_that_cannot_be_read_is_left_out_and_reported_once() {
        let client = Client::builder("http://localhost").build().unwrap();
        let keys = VerificationKeys::new(client, "issuer".into(), "audience".into());
        let readable = key("readable", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let published = JwkSet { keys: vec![key("unreadable", "not base64!"), readable], max_age: 60 };
        for _ in 0..2 {
            keys.install(&published, 900);
        }
        let verifier = keys.verifier.load();
        assert!(verifier.knows("readable") && !verifier.knows("unreadable"));
        assert_eq!(*keys.unreadable.read().unwrap(), HashSet::from(["unreadable".to_owned()]));
        assert_eq!((keys.max_age(), keys.longest_lifetime()), (Duration::from_secs(60), 900));
    }
}
