//! Signing keys: encrypted in the database and published in the JWKS. One of them signs, all verify.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::{
    Error, ErrorKind, Result, Secret,
    api::session::JwkSet,
    claims::{Claims, LifetimeTooLong, SigningAlgorithm, Token, unverified_kid},
    engine::{
        crypto::{keypair::KeyPair, master::MasterKeys},
        journal::write::Journal,
    },
    token_cache::{CachedToken, TokenCache},
};

mod load;
pub(in crate::engine) mod rotation;
pub(in crate::engine) mod sql;
pub(in crate::engine) mod statistics;
mod token_lifetime;

use load::{Loaded, Loader};

/// Minimum time between two reloads caused by tokens with unknown keys: invented key IDs must not cause load.
const RELOAD_COOLDOWN: Duration = Duration::from_secs(1);

/// The signing keys: [`Authy::keys`](crate::Authy::keys). The background work rotates them.
///
/// ```
/// use authy_core::{Authy, Result, engine::Caller};
///
/// # async fn keys(authy: &Authy, operator: &Caller) -> Result<()> {
/// // For services that verify tokens themselves.
/// println!("{} keys are published", authy.keys().published().keys.len());
///
/// // Ahead of time, for example when a backup was lost. What the old key signed stays valid until it expires.
/// let kid = authy.keys().rotate(operator).await?;
/// println!("{kid} is next");
/// # Ok(())
/// # }
/// ```
pub struct SigningKeys {
    journal: Arc<Journal>,
    settings: KeySettings,
    loader: Loader,
    current: ArcSwap<Loaded>,
    // The time of the last reload that a token caused.
    reloaded: Mutex<Option<Instant>>,
    // The time of the last unsuccessful search for a key to sign with.
    missed: Mutex<Option<Instant>>,
}

/// The settings of the signing keys.
pub(in crate::engine) struct KeySettings {
    pub(in crate::engine) algorithm: SigningAlgorithm,
    pub(in crate::engine) issuer: String,
    pub(in crate::engine) audience: String,
    /// Time for which others may cache the published keys.
    pub(in crate::engine) max_age: Duration,
    /// Lifetime of the access tokens of this instance.
    pub(in crate::engine) access_ttl: Duration,
    /// Time for which a key signs.
    pub(in crate::engine) rotation: Duration,
    pub(in crate::engine) master: MasterKeys,
    /// The `keyid` of the pepper of new password hashes, which is also derived from the first master key.
    pub(in crate::engine) pepper_id: String,
}

/// A private key and its ID.
pub(in crate::engine) struct Signer {
    algorithm: SigningAlgorithm,
    kid: String,
    pair: KeyPair,
}

impl SigningKeys {
    /// Returns the public keys that verify access tokens, as they are published.
    pub fn published(&self) -> Arc<JwkSet> {
        self.current.load().published.clone()
    }

    /// Loads the keys. Creates the first one of this algorithm when there is none; beside servers, only when there are none
    /// of any.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the master key is not the one that encrypted the keys.
    pub(in crate::engine) async fn start(
        journal: Arc<Journal>,
        settings: KeySettings,
        is_beside_servers: bool,
    ) -> Result<Self> {
        let (loader, db) = (Loader::default(), &journal.db);
        if !is_beside_servers {
            token_lifetime::introduce(db, settings.access_ttl).await?;
        }
        let mut loaded = loader.load(db, &settings, None).await?.check_master_key()?;
        // A command may lack the settings of the servers, and with them their algorithm.
        if !loaded.has_active && (!is_beside_servers || loaded.counts.is_empty()) {
            rotation::ensure_active(&journal, &settings).await?;
            loaded = loader.load(db, &settings, None).await?;
        }
        let current = ArcSwap::from_pointee(loaded);
        Ok(Self { journal, settings, loader, current, reloaded: Mutex::new(None), missed: Mutex::new(None) })
    }

    /// Returns the issuer of the tokens.
    pub(in crate::engine) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Returns the maximum lifetime of the tokens of all instances on this database, as of the last load of the keys.
    pub(in crate::engine) fn longest_lifetime(&self) -> Duration {
        self.current.load().verifier.longest_lifetime()
    }

    /// Returns whether a key is loaded that can sign: the active one, unless it is revoked.
    pub fn can_sign(&self) -> bool {
        self.loaded_signer().is_some()
    }

    fn loaded_signer(&self) -> Option<Arc<Signer>> {
        self.current.load().signer.clone().filter(|signer| !self.journal.feed.revokes_key(&signer.kid))
    }

    /// Returns the active key. When it is revoked, searches for its successor.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is none.
    pub(in crate::engine) async fn signer(&self) -> Result<Arc<Signer>> {
        let signer = || self.loaded_signer();
        if let Some(signer) = signer() {
            return Ok(signer);
        }
        // Boxed, because it is rare. One search serves all waiting callers.
        Box::pin(async {
            let mut missed = self.missed.lock().await;
            if signer().is_none() && missed.is_none_or(|when| when.elapsed() >= RELOAD_COOLDOWN) {
                self.reload().await?;
                *missed = signer().is_none().then(Instant::now);
            }
            signer().ok_or_else(|| {
                Error::new(ErrorKind::Unavailable, "no signing key is in force").with_retry_after(RELOAD_COOLDOWN)
            })
        })
        .await
    }

    /// Returns the content of a token: from the cache while its key is valid, otherwise after verification with the
    /// loaded keys.
    pub(in crate::engine) fn get_or_verify<T>(
        &self,
        cache: &TokenCache<T>,
        token: &str,
    ) -> Result<Arc<CachedToken<T>>> {
        cache.get_or_verify(token, &self.current.load().verifier)
    }

    /// Returns the content of a token from the cache, while its key is valid and it expires later than `now`, in seconds since 1970.
    pub(in crate::engine) fn get<T>(
        &self,
        cache: &TokenCache<T>,
        token: &str,
        now: u64,
    ) -> Option<Arc<CachedToken<T>>> {
        cache.get(token, &self.current.load().verifier, now)
    }

    /// Verifies a `refused` token again, after loading new keys, and longer lifetimes, of other instances.
    pub(in crate::engine) async fn verify_again(&self, token: &str, refused: Error) -> Result<Token> {
        match unverified_kid(token) {
            Ok(kid) if !self.current.load().verifier.knows(&kid) || LifetimeTooLong::is_cause_of(&refused) => {
                let mut reloaded = self.reloaded.lock().await;
                if reloaded.is_none_or(|when| when.elapsed() >= RELOAD_COOLDOWN) {
                    *reloaded = Some(Instant::now());
                    self.reload().await?;
                }
                drop(reloaded);
                self.current.load().verifier.verify(token)
            }
            _ => Err(refused),
        }
    }

    /// Loads the keys from the database again. Creates a key when none of this algorithm is active: an instance with
    /// another algorithm may have retired the last one.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available. A key that cannot be decrypted or parsed is
    /// skipped.
    pub(in crate::engine) async fn reload(&self) -> Result<()> {
        let (db, before) = (&self.journal.db, self.current.load_full());
        let mut loaded = self.loader.load(db, &self.settings, Some(&before)).await?;
        if !loaded.has_active {
            rotation::ensure_active(&self.journal, &self.settings).await?;
            loaded = self.loader.load(db, &self.settings, Some(&before)).await?;
        }
        self.current.store(Arc::new(loaded));
        Ok(())
    }
}

impl Signer {
    /// Signs a token with these claims.
    pub(in crate::engine) fn sign(&self, claims: Claims) -> Result<Secret> {
        claims.sign(self.algorithm, &self.kid, |input| self.pair.sign(input)).map(Secret::new)
    }
}
