//! Signing keys: sealed in the database, published in the JWKS, one of them signs and all verify.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::{MasterKeys, db::Db};
use crate::{
    Error, ErrorKind, Result, Secret,
    api::session::JwkSet,
    claims::{Claims, LivesTooLong, SigningAlgorithm, Token, unverified_kid},
    memory::TokenMemory,
};

mod life;
mod load;
mod pair;
pub(super) mod sql;
mod token_life;

pub use life::{KeyState, KeyView, Resealed};
use load::{Loaded, Loader};
use pair::Pair;

/// How often a key that is not known may make us look for new ones: made-up names must not become load.
const RELOAD_COOLDOWN: Duration = Duration::from_secs(1);

/// The keys in force: one signs, all verify.
pub(super) struct KeyRing {
    settings: KeySettings,
    loader: Loader,
    current: ArcSwap<Loaded>,
    // When a token last made us look for what is new.
    reloaded: Mutex<Option<Instant>>,
    // When a key to sign with was last looked for and not found.
    missed: Mutex<Option<Instant>>,
}

/// What the keys are for.
pub(super) struct KeySettings {
    pub(super) algorithm: SigningAlgorithm,
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) max_age: Duration,
    /// How long the tokens of this instance live.
    pub(super) access_ttl: Duration,
    pub(super) master: MasterKeys,
}

/// A private key and its names.
pub(super) struct Signer {
    algorithm: SigningAlgorithm,
    kid: String,
    pair: Pair,
}

impl KeyRing {
    /// Loads the keys, and makes the first one of this algorithm when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the master key is not the one that the keys were sealed with.
    pub(super) async fn start(db: &Db, settings: KeySettings) -> Result<Self> {
        let loader = Loader::default();
        token_life::introduce(db, settings.access_ttl).await?;
        let mut loaded = loader.load(db, &settings, None).await?.check_master_key()?;
        if !loaded.has_active {
            life::ensure_active(db, &settings).await?;
            loaded = loader.load(db, &settings, None).await?;
        }
        let current = ArcSwap::from_pointee(loaded);
        Ok(Self { settings, loader, current, reloaded: Mutex::new(None), missed: Mutex::new(None) })
    }

    /// The public keys, as they are published.
    pub(super) fn published(&self) -> Arc<JwkSet> {
        self.current.load().published.clone()
    }

    /// The longest life of a token that any instance on this database issues, as it was when the keys were loaded.
    pub(super) fn longest_life(&self) -> Duration {
        self.current.load().verifier.longest_life()
    }

    /// The key that signs now, unless `is_void` says that what it signs is void; then its successor is looked for.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is none.
    pub(super) async fn signer(&self, db: &Db, is_void: impl Fn(&str) -> bool) -> Result<Arc<Signer>> {
        let signer = || self.current.load().signer.clone().filter(|signer| !is_void(&signer.kid));
        if let Some(signer) = signer() {
            return Ok(signer);
        }
        // Boxed, because it is rare. One looks for all who wait.
        Box::pin(async {
            let mut missed = self.missed.lock().await;
            if signer().is_none() && missed.is_none_or(|when| when.elapsed() >= RELOAD_COOLDOWN) {
                self.reload(db).await?;
                *missed = signer().is_none().then(Instant::now);
            }
            signer().ok_or_else(|| {
                Error::new(ErrorKind::Unavailable, "no signing key is in force").retry_after(RELOAD_COOLDOWN)
            })
        })
        .await
    }

    /// What a token says, from memory where its key is still in force, else by the keys that are known here.
    pub(super) fn recall(&self, memory: &TokenMemory, token: &str) -> Result<Arc<Token>> {
        memory.recall(token, &self.current.load().verifier)
    }

    /// What a token says, when it is good by the keys that are known here.
    pub(super) fn verify(&self, token: &str) -> Result<Token> {
        self.current.load().verifier.verify(token)
    }

    /// The same for a token that was `refused`: a key that another instance made meanwhile is looked for once, and so is whether
    /// another instance issues tokens that live longer.
    pub(super) async fn verify_anew(&self, db: &Db, token: &str, refused: Error) -> Result<Token> {
        match unverified_kid(token) {
            Ok(kid) if !self.current.load().verifier.knows(&kid) || LivesTooLong::is_cause_of(&refused) => {
                let mut reloaded = self.reloaded.lock().await;
                if reloaded.is_none_or(|when| when.elapsed() >= RELOAD_COOLDOWN) {
                    *reloaded = Some(Instant::now());
                    self.reload(db).await?;
                }
                drop(reloaded);
                self.verify(token)
            }
            _ => Err(refused),
        }
    }

    /// Takes the keys from the database again. When no key of this algorithm is active any more, one is made: somebody may
    /// have ended the last one who does not use the algorithm.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away. A key that cannot be opened or read is none: it is left out.
    pub(super) async fn reload(&self, db: &Db) -> Result<()> {
        let before = self.current.load_full();
        let mut loaded = self.loader.load(db, &self.settings, Some(&before)).await?;
        if !loaded.has_active {
            life::ensure_active(db, &self.settings).await?;
            loaded = self.loader.load(db, &self.settings, Some(&before)).await?;
        }
        self.current.store(Arc::new(loaded));
        Ok(())
    }
}

impl Signer {
    /// A token with these claims.
    pub(super) fn sign(&self, claims: Claims) -> Result<Secret> {
        claims.sign(self.algorithm, &self.kid, |input| self.pair.sign(input)).map(Secret::new)
    }
}
