//! Loads the keys from the database. A key that cannot be decrypted or parsed is skipped, so that it does not affect
//! the others: only its own tokens are refused.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_postgres::Row;
use zeroize::Zeroizing;

use super::{KeySettings, Signer, rotation::KeyState, sql, statistics::KeyStatistics, token_lifetime};
use crate::{
    Error, ErrorKind, Jwk, Result,
    api::session::JwkSet,
    claims::{SigningAlgorithm, Verifier},
    engine::{crypto::keypair::KeyPair, storage::db::Db},
};

/// The loaded keys.
pub(super) struct Loaded {
    pub(super) signer: Option<Arc<Signer>>,
    pub(super) verifier: Verifier,
    pub(super) published: Arc<JwkSet>,
    /// Whether a key of this algorithm is active, usable or not.
    pub(super) has_active: bool,
    /// The number of usable keys in each state.
    pub(super) counts: Vec<KeyStatistics>,
    // The number of keys that the master key decrypts, and the errors for the active key and for another one that it
    // does not decrypt.
    opened: usize,
    active_unopened: Option<Error>,
    other_unopened: Option<Error>,
}

/// Loads the keys, and remembers which errors it has logged.
#[derive(Default)]
pub(super) struct Loader {
    reported: Mutex<HashSet<String>>,
}

impl Loaded {
    /// Checks that the master key is the one that encrypted the keys. A wrong one must be detected at the start, not at
    /// the first login.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it decrypts none of the keys, or not the active one.
    pub(super) fn check_master_key(self) -> Result<Self> {
        match (self.active_unopened, self.other_unopened) {
            (Some(error), _) => Err(error),
            (None, Some(error)) if self.opened == 0 => Err(error),
            (_, other_unopened) => Ok(Self { active_unopened: None, other_unopened, ..self }),
        }
    }
}

impl Loader {
    /// Loads all keys that are not retired. When the active one is not usable, the key that signed `before` continues
    /// to sign while it still verifies.
    pub(super) async fn load(&self, db: &Db, settings: &KeySettings, before: Option<&Loaded>) -> Result<Loaded> {
        let (mut keys, mut signer, mut has_active) = (Vec::new(), None, false);
        let (mut opened, mut active_unopened, mut other_unopened) = (0, None, None);
        let mut counts = Vec::new();
        for row in db.read(&sql::LIST_LIVE, &[]).await? {
            let (kid, algorithm, state): (String, String, String) =
                (row.get("kid"), row.get("algorithm"), row.get("state"));
            let signs = state == "active" && algorithm == settings.algorithm.as_str();
            has_active |= signs;
            let jwk = read_public(&row, settings).inspect_err(|error| self.report(&kid, error));
            // Decrypted even when it does not sign, because any key shows whether the master key is right.
            let private = settings.master.open(&kid, row.get("sealed")).inspect_err(|error| self.report(&kid, error));
            let private = match private {
                Ok(private) => {
                    opened += 1;
                    Some(private)
                }
                Err(error) => {
                    *(if signs { &mut active_unopened } else { &mut other_unopened }) = Some(error);
                    None
                }
            };
            // Nobody could verify the tokens of a key whose public key is not published.
            let Ok(jwk) = jwk else { continue };
            keys.push(jwk);
            if !signs || private.is_some() {
                KeyStatistics::add(&mut counts, KeyState::parse(&state), &algorithm);
            }
            if let Some(private) = private.filter(|_| signs) {
                match read_private(settings.algorithm, kid.clone(), &private) {
                    Ok(read) => signer = Some(Arc::new(read)),
                    Err(error) => self.report(&kid, &error),
                }
            }
        }
        let longest = token_lifetime::longest(db, settings.access_ttl).await?;
        let mut verifier = Verifier::new(&settings.issuer, &settings.audience, longest, &keys)?;
        if let Some(before) = before {
            verifier = verifier.replacing(&before.verifier);
        }
        let signer = signer.or_else(|| {
            let signer = before.and_then(|before| before.signer.clone());
            signer.filter(|signer| has_active && verifier.knows(&signer.kid))
        });
        let published = Arc::new(JwkSet { keys, max_age: settings.max_age.as_secs() });
        Ok(Loaded { signer, verifier, published, has_active, counts, opened, active_unopened, other_unopened })
    }

    /// Logs the error of a key, once: the keys are loaded again whenever one of them changes.
    fn report(&self, kid: &str, error: &Error) {
        if self.reported.lock().unwrap_or_else(PoisonError::into_inner).insert(kid.to_owned()) {
            tracing::error!(kid, %error, "a signing key cannot be used: it is skipped");
        }
    }
}

fn read_public(row: &Row, settings: &KeySettings) -> Result<Jwk> {
    let jwk: Jwk = serde_json::from_value(row.get("public_jwk"))
        .map_err(|cause| Error::with_source(ErrorKind::Internal, "a public key cannot be read", cause))?;
    // Each key separately, to find the invalid one.
    Verifier::new(&settings.issuer, &settings.audience, settings.access_ttl, [&jwk])?;
    Ok(jwk)
}

fn read_private(algorithm: SigningAlgorithm, kid: String, private: &Zeroizing<Vec<u8>>) -> Result<Signer> {
    Ok(Signer { algorithm, kid, pair: KeyPair::from_pkcs8(algorithm, private)? })
}
