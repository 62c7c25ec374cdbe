//! Signing keys: sealed in the database, published in the JWKS, one of them signs and all verify.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    Authy, Caller, MasterKeys, Origin,
    actor::Actor,
    db::{Db, db_error},
    event::{Event, Write},
};
use crate::{
    Error, ErrorKind, Result, Secret,
    api::{
        event::EventKind,
        session::{Jwk, JwkSet},
    },
    claims::{Claims, SigningAlgorithm, Token, Verifier, unverified_kid},
};

mod life;
mod pair;
pub(super) mod sql;

pub use life::{KeyState, KeyView, Resealed};
use pair::Pair;

/// How often a key that is not known may make us look for new ones: made-up names must not become load.
const RELOAD_COOLDOWN: Duration = Duration::from_secs(1);

/// The keys in force: one signs, all verify.
pub(super) struct KeyRing {
    settings: KeySettings,
    current: ArcSwap<Loaded>,
    reloaded: Mutex<Instant>,
}

/// What the keys are for.
pub(super) struct KeySettings {
    pub(super) algorithm: SigningAlgorithm,
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) max_age: Duration,
    pub(super) master: MasterKeys,
}

struct Loaded {
    signer: Signer,
    verifier: Verifier,
    published: Arc<JwkSet>,
}

/// A private key and its names.
struct Signer {
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
        life::ensure_active(db, &settings).await?;
        let loaded = load(db, &settings).await?;
        Ok(Self { settings, current: ArcSwap::from_pointee(loaded), reloaded: Mutex::new(Instant::now()) })
    }

    /// The public keys, as they are published.
    pub(super) fn published(&self) -> Arc<JwkSet> {
        self.current.load().published.clone()
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: Claims) -> Result<Secret> {
        let current = self.current.load();
        let signer = &current.signer;
        claims.sign(signer.algorithm, &signer.kid, |input| signer.pair.sign(input)).map(Secret::new)
    }

    /// What a token says, when it is good by the keys that are known here.
    pub(super) fn verify(&self, token: &str) -> Result<Token> {
        self.current.load().verifier.verify(token)
    }

    /// The same for a token that was `refused`: a key that another instance made meanwhile is looked for once.
    pub(super) async fn verify_anew(&self, db: &Db, token: &str, refused: Error) -> Result<Token> {
        match unverified_kid(token) {
            Ok(kid) if !self.current.load().verifier.knows(&kid) => {
                let mut reloaded = self.reloaded.lock().await;
                if reloaded.elapsed() >= RELOAD_COOLDOWN {
                    *reloaded = Instant::now();
                    self.reload(db).await?;
                }
                drop(reloaded);
                self.verify(token)
            }
            _ => Err(refused),
        }
    }

    /// Takes the keys from the database again.
    pub(super) async fn reload(&self, db: &Db) -> Result<()> {
        self.current.store(Arc::new(load(db, &self.settings).await?));
        Ok(())
    }
}

async fn load(db: &Db, settings: &KeySettings) -> Result<Loaded> {
    let mut published = Vec::new();
    let mut signer = None;
    for row in db.read(&sql::LIST_LIVE, &[]).await? {
        let (kid, algorithm, state, sealed): (String, String, String, Vec<u8>) =
            (row.get("kid"), row.get("algorithm"), row.get("state"), row.get("sealed"));
        let jwk: Jwk = serde_json::from_value(row.get("public_jwk"))
            .map_err(|cause| Error::with_source(ErrorKind::Internal, "a public key cannot be read", cause))?;
        // Opened even when it does not sign: a wrong master key must show at start, not at the first login.
        let private = settings.master.open(&kid, &sealed)?;
        if state == "active" && algorithm == settings.algorithm.as_str() {
            let pair = Pair::from_pkcs8(settings.algorithm, &private)?;
            signer = Some(Signer { algorithm: settings.algorithm, kid, pair });
        }
        published.push(jwk);
    }
    let signer = signer.ok_or_else(|| Error::new(ErrorKind::Internal, "there is no active signing key"))?;
    let verifier = Verifier::new(&settings.issuer, &settings.audience, &published)?;
    let published = Arc::new(JwkSet { keys: published, max_age: settings.max_age.as_secs() });
    Ok(Loaded { signer, verifier, published })
}
