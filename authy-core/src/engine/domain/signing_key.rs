//! Signing keys: sealed in the database and published in the JWKS. One of them signs, all verify.

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
    token_cache::TokenCache,
};

mod load;
pub(in crate::engine) mod rotation;
pub(in crate::engine) mod sql;
mod token_lifetime;

use load::{Loaded, Loader};

/// The least time between two looks for new keys that an unknown key causes: invented key names must not become load.
const RELOAD_COOLDOWN: Duration = Duration::from_secs(1);

/// The signing keys: [`Authy::keys`](crate::Authy::keys).
pub struct SigningKeys {
    journal: Arc<Journal>,
    settings: KeySettings,
    loader: Loader,
    current: ArcSwap<Loaded>,
    // When a token last made us look for new keys.
    reloaded: Mutex<Option<Instant>>,
    // When a key to sign with was last looked for and not found.
    missed: Mutex<Option<Instant>>,
}

/// How keys are made, used and replaced.
pub(in crate::engine) struct KeySettings {
    pub(in crate::engine) algorithm: SigningAlgorithm,
    pub(in crate::engine) issuer: String,
    pub(in crate::engine) audience: String,
    /// How long others may cache the published keys.
    pub(in crate::engine) max_age: Duration,
    /// The lifetime of the access tokens of this instance.
    pub(in crate::engine) access_ttl: Duration,
    /// How long a key signs.
    pub(in crate::engine) rotation: Duration,
    pub(in crate::engine) master: MasterKeys,
    /// The `keyid` of the pepper of new password hashes, which is derived from the first master key too.
    pub(in crate::engine) pepper_id: String,
}

/// A private key and its names.
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

    /// Loads the keys, and makes the first one of this algorithm when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the master key is not the one that the keys were sealed with.
    pub(in crate::engine) async fn start(journal: Arc<Journal>, settings: KeySettings) -> Result<Self> {
        let (loader, db) = (Loader::default(), &journal.db);
        token_lifetime::introduce(db, settings.access_ttl).await?;
        let mut loaded = loader.load(db, &settings, None).await?.check_master_key()?;
        if !loaded.has_active {
            rotation::ensure_active(&journal, &settings).await?;
            loaded = loader.load(db, &settings, None).await?;
        }
        let current = ArcSwap::from_pointee(loaded);
        Ok(Self { journal, settings, loader, current, reloaded: Mutex::new(None), missed: Mutex::new(None) })
    }

    /// Returns the longest lifetime of a token that any instance on this database issues, as of the last load of the keys.
    pub(in crate::engine) fn longest_lifetime(&self) -> Duration {
        self.current.load().verifier.longest_lifetime()
    }

    /// Returns the key that signs now. When it is revoked, its successor is looked for.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is none.
    pub(in crate::engine) async fn signer(&self) -> Result<Arc<Signer>> {
        let is_good = |signer: &Arc<Signer>| !self.journal.feed.revokes_key(&signer.kid);
        let signer = || self.current.load().signer.clone().filter(is_good);
        if let Some(signer) = signer() {
            return Ok(signer);
        }
        // Boxed, because it is rare. One looks for all who wait.
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

    /// Returns the content of a token: from the cache while its key is in force, else verified with the keys that are known here.
    pub(in crate::engine) fn get_or_verify(&self, cache: &TokenCache, token: &str) -> Result<Arc<Token>> {
        cache.get_or_verify(token, &self.current.load().verifier)
    }

    /// Verifies a `refused` token again: looks once for a key that another instance has made meanwhile, and whether another
    /// instance issues tokens with a longer lifetime.
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

    /// Loads the keys from the database again. When no key of this algorithm is active any more, one is made: an instance with
    /// another algorithm may have ended the last one.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away. A key that cannot be opened or read is left out.
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
