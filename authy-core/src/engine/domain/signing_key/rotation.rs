//! The rotation of signing keys: pending (published, does not sign) → active → retiring (only verifies) → retired.
//!
//! A key becomes active only after every cache of the JWKS contains it, and retires only after its last token has
//! expired. Each step is performed under one lock, so any number of instances can run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio_postgres::{Row, Transaction};

use super::{KeySettings, SigningKeys, sql, token_lifetime};
use crate::{
    ClientInfo, Error, ErrorKind, Result,
    api::event::EventKind,
    claims::SigningAlgorithm,
    engine::{
        crypto::keypair::KeyPair,
        domain::fallback_hash::reseal::reseal,
        journal::{
            actor::Actor,
            caller::Caller,
            event::Event,
            revocation::target::RevocationTarget,
            write::{Journal, Tx, Written},
        },
        storage::connector::db_error,
    },
    time::to_second,
};

/// Permitted difference between two clocks.
const ROTATION_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The state of a key in the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, so that every verifier has it before it signs.
    Pending,
    /// Signs.
    Active,
    /// Only verifies existing tokens.
    Retiring,
    /// No longer verifies.
    Retired,
}

impl KeyState {
    /// Returns the name of the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        match text {
            "pending" => Self::Pending,
            "active" => Self::Active,
            "retiring" => Self::Retiring,
            _ => Self::Retired,
        }
    }
}

/// A signing key, for the operator.
#[derive(Clone, Debug)]
pub struct KeyView {
    /// The ID of the key: its RFC 7638 thumbprint.
    pub kid: String,
    /// `EdDSA`, `ES256` or `RS256`.
    pub algorithm: String,
    /// The state.
    pub state: KeyState,
    /// The time of creation.
    pub created: DateTime<Utc>,
    /// The time of the last change of state.
    pub changed: DateTime<Utc>,
}

impl KeyView {
    /// Reads a key from the row of a statement.
    pub(in crate::engine) fn of(row: &Row) -> Self {
        Self {
            kid: row.get("kid"),
            algorithm: row.get("algorithm"),
            state: KeyState::parse(row.get("state")),
            created: to_second(row.get("created")),
            changed: to_second(row.get("changed")),
        }
    }
}

/// The result of encrypting with the first master key again, and the data that still depends on an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResealReport {
    /// The number of signing keys that were encrypted with the first master key.
    pub keys: u64,
    /// The number of hashes for the first authy that were encrypted with the first master key.
    pub fallback_hashes: u64,
    /// The number of passwords that are still hashed with an older pepper. Each is updated at the user's next login.
    pub passwords_left: u64,
}

impl SigningKeys {
    /// Returns all signing keys, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available.
    pub async fn list(&self) -> Result<Vec<KeyView>> {
        Ok(self.journal.db.read(&sql::LIST, &[]).await?.iter().map(KeyView::of).collect())
    }

    /// Creates the key that signs next, unless it exists, and returns its ID. It becomes active automatically once
    /// every cache contains it.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller has full power.
    pub async fn rotate(&self, caller: &Caller) -> Result<String> {
        let settings = &self.settings;
        let rotated = self.journal.write(caller, async |tx| {
            let actor = tx.prove_full_power().await?;
            sql::LOCK.rows(tx, &[]).await?;
            let algorithm = settings.algorithm;
            if let Some(row) = sql::FIND_STATE.row(tx, &[&algorithm.as_str(), &"pending"]).await? {
                return Ok(Written::unchanged((row.get("kid"), false)));
            }
            let (kid, event) = create(tx, settings, algorithm, KeyState::Pending, &actor).await?;
            Ok(Written::new((kid, true), event))
        });
        let (kid, is_new) = rotated.await?;
        if is_new {
            self.reload().await?;
        }
        Ok(kid)
    }

    /// Revokes a key and all tokens that it signed, everywhere. A revoked active key is replaced immediately. A retired
    /// key can be revoked, too, and is not replaced.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such key or it is already revoked, [`ErrorKind::BeyondYourLevel`]
    /// unless the caller has full power.
    pub async fn revoke(&self, caller: &Caller, kid: &str) -> Result<()> {
        let revoked = self.journal.write(caller, async |tx| {
            let actor = tx.prove_full_power().await?;
            sql::LOCK.rows(tx, &[]).await?;
            let row = sql::FIND.row(tx, &[&kid]).await?;
            let row = row.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such key"))?;
            self.revoke_one(tx, &actor, kid, &row).await
        });
        revoked.await?;
        self.reload().await
    }

    /// Revokes all keys that sign or verify, and replaces the active ones. Returns their IDs, and the events.
    pub(in crate::engine) async fn revoke_all(&self, tx: &Tx<'_>, actor: &Actor) -> Result<(Vec<String>, Vec<Event>)> {
        sql::LOCK.rows(tx, &[]).await?;
        let (mut kids, mut events) = (Vec::new(), Vec::new());
        for row in sql::LIST_LIVE.rows(tx, &[]).await? {
            let kid: String = row.get("kid");
            events.push(self.revoke_one(tx, actor, &kid, &row).await?);
            kids.push(kid);
        }
        Ok((kids, events))
    }

    /// Revokes the key of a row, and replaces it when it is active.
    async fn revoke_one(&self, tx: &Tx<'_>, actor: &Actor, kid: &str, row: &Row) -> Result<Event> {
        set_state(tx, kid, KeyState::Retired).await?;
        // The algorithm of the revoked key may not be the one that this instance uses.
        let algorithm = row.get::<_, &str>("algorithm").parse().ok();
        let detail = match algorithm.filter(|_| row.get::<_, &str>("state") == "active") {
            Some(algorithm) => {
                // No verifier has it yet. Verifiers load unknown keys.
                let (next, _) = create(tx, &self.settings, algorithm, KeyState::Active, actor).await?;
                json!({ "kid": kid, "next": next })
            }
            None => json!({ "kid": kid }),
        };
        let event = Event::new(EventKind::KeyRevoked, actor).detail(detail);
        Ok(event.revoking([RevocationTarget::Key { kid: kid.to_owned() }]))
    }

    /// Encrypts all signing keys, and the hashes that are kept for the first authy, with the first master key, so that the
    /// other master keys can be removed. The hashes in batches: when it is interrupted, call it again.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller has full power.
    pub async fn reseal(&self, caller: &Caller) -> Result<ResealReport> {
        let fallback_hashes = reseal(&self.journal, caller, &self.settings.master).await?;
        self.journal
            .write(caller, async |tx| {
                let actor = tx.prove_full_power().await?;
                let keys = self.reseal_all(tx).await?;
                let pepper = format!("%,keyid={}$%", self.settings.pepper_id);
                let row = sql::COUNT_OTHER_PEPPERS.row(tx, &[&pepper]).await?;
                let passwords_left = row.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs());
                let report = ResealReport { keys, fallback_hashes, passwords_left };
                if keys + fallback_hashes == 0 {
                    return Ok(Written::unchanged(report));
                }
                let detail = match fallback_hashes {
                    0 => json!({ "keys": keys }),
                    _ => json!({ "keys": keys, "fallback_hashes": fallback_hashes }),
                };
                Ok(Written::new(report, Event::new(EventKind::KeyResealed, &actor).detail(detail)))
            })
            .await
    }

    async fn reseal_all(&self, tx: &Transaction<'_>) -> Result<u64> {
        let (master, mut keys) = (&self.settings.master, 0);
        sql::LOCK.rows(tx, &[]).await?;
        for row in sql::LIST_SEALED.rows(tx, &[]).await? {
            let (kid, sealed): (String, Vec<u8>) = (row.get("kid"), row.get("sealed"));
            if master.sealed_with_first(&sealed)? {
                continue;
            }
            match master.open(&kid, &sealed) {
                Ok(private) => {
                    let sealed = master.seal(&kid, &private)?;
                    keys += sql::RESEAL.execute(tx, &[&kid, &sealed]).await.map_err(db_error)?;
                }
                // It must not prevent the others from being encrypted, and depends on none of these master keys.
                Err(error) => tracing::warn!(kid, %error, "a signing key cannot be decrypted: it stays unchanged"),
            }
        }
        Ok(keys)
    }

    /// Performs the due steps of the rotation. Returns their number.
    pub(in crate::engine) async fn advance(&self) -> Result<usize> {
        token_lifetime::note(&self.journal.db, self.settings.access_ttl).await?;
        let operator = Caller::operator(ClientInfo::default());
        let mut steps = 0;
        while self.journal.write(&operator, async |tx| self.advance_one(tx).await).await? {
            steps += 1;
        }
        if steps > 0 {
            self.reload().await?;
        }
        Ok(steps)
    }

    async fn advance_one(&self, tx: &Tx<'_>) -> Result<Written<bool>> {
        let (settings, actor) = (&self.settings, tx.operator()?);
        // Twice, because a cache may have been filled just before the key was created, and responses take time.
        let lead = 2 * settings.max_age;
        // Another instance may issue tokens with a longer lifetime and the same keys.
        let lifetime = self.longest_lifetime().max(settings.access_ttl);
        sql::LOCK.rows(tx, &[]).await?;
        let keys = sql::LIST_AGES.rows(tx, &[&settings.algorithm.as_str()]).await?;
        let oldest = |state: KeyState| {
            let of_state = keys.iter().filter(move |row| row.get::<_, &str>("state") == state.as_str());
            let aged = of_state.map(|row| (row.get::<_, String>("kid"), row.get::<_, f64>("age")));
            aged.max_by(|a, b| a.1.total_cmp(&b.1))
        };
        let event = if let Some((kid, age)) = oldest(KeyState::Pending) {
            if age < lead.as_secs_f64() {
                return Ok(Written::unchanged(false));
            }
            if let Some((active, _)) = oldest(KeyState::Active) {
                set_state(tx, &active, KeyState::Retiring).await?;
            }
            set_state(tx, &kid, KeyState::Active).await?;
            Event::new(EventKind::KeyActivated, &actor).detail(json!({ "kid": kid }))
        } else if oldest(KeyState::Active)
            .is_none_or(|(_, age)| age + lead.as_secs_f64() >= settings.rotation.as_secs_f64())
        {
            create(tx, settings, settings.algorithm, KeyState::Pending, &actor).await?.1
        } else {
            let expired =
                oldest(KeyState::Retiring).filter(|(_, age)| *age > (lifetime + ROTATION_CLOCK_SKEW).as_secs_f64());
            let over = match expired {
                Some((kid, _)) => Some(kid),
                None => find_forgotten(tx, settings, lead + lifetime).await?,
            };
            let Some(kid) = over else { return Ok(Written::unchanged(false)) };
            set_state(tx, &kid, KeyState::Retired).await?;
            Event::new(EventKind::KeyRetired, &actor).detail(json!({ "kid": kid }))
        };
        Ok(Written::new(true, event))
    }
}

/// Finds a key of an algorithm that is no longer used: an instance that used it would have replaced the key, and all of
/// its tokens have expired.
async fn find_forgotten(tx: &Transaction<'_>, settings: &KeySettings, rest: Duration) -> Result<Option<String>> {
    let age = (settings.rotation + rest + ROTATION_CLOCK_SKEW).as_secs_f64();
    let row = sql::FIND_FORGOTTEN.row(tx, &[&settings.algorithm.as_str(), &age]).await?;
    Ok(row.map(|row| row.get("kid")))
}

/// Creates the first key of this algorithm. The lock makes concurrently started instances agree on one key.
pub(super) async fn ensure_active(journal: &Journal, settings: &KeySettings) -> Result<()> {
    journal
        .write(&Caller::operator(ClientInfo::default()), async |tx| {
            sql::LOCK.rows(tx, &[]).await?;
            if sql::FIND_STATE.row(tx, &[&settings.algorithm.as_str(), &"active"]).await?.is_some() {
                return Ok(Written::unchanged(()));
            }
            let (_, event) = create(tx, settings, settings.algorithm, KeyState::Active, &tx.operator()?).await?;
            Ok(event.into())
        })
        .await
}

async fn create(
    tx: &Transaction<'_>,
    settings: &KeySettings,
    algorithm: SigningAlgorithm,
    state: KeyState,
    actor: &Actor,
) -> Result<(String, Event)> {
    let (pair, private) = KeyPair::generate(algorithm)?;
    let (algorithm, state, jwk) = (algorithm.as_str(), state.as_str(), pair.jwk()?);
    let sealed = settings.master.seal(&jwk.kid, &private)?;
    let public: Value = json!(jwk);
    let created = sql::CREATE.execute(tx, &[&jwk.kid, &algorithm, &state, &public, &sealed]).await;
    created.map_err(db_error)?;
    let event = Event::new(EventKind::KeyCreated, actor);
    Ok((jwk.kid.clone(), event.detail(json!({ "kid": jwk.kid, "alg": algorithm, "state": state }))))
}

async fn set_state(tx: &Transaction<'_>, kid: &str, state: KeyState) -> Result<()> {
    sql::SET_STATE.execute(tx, &[&kid, &state.as_str()]).await.map(drop).map_err(db_error)
}
