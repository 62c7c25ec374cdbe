//! The life of a signing key: pending (published, does not sign) → active → retiring (only verifies) → retired.
//!
//! A key becomes active only after every cache of the JWKS has seen it, and goes only after the last token that it signed
//! has expired. Every step is taken under one lock, so any number of instances agree.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{KeySettings, pair::Pair, sql, token_life};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    api::event::EventKind,
    claims::SigningAlgorithm,
    engine::{
        Authy, Caller, Origin,
        actor::Actor,
        db::{Db, db_error},
        event::{Event, Write},
        feed::Void,
    },
};

/// Clocks differ.
const SKEW: Duration = Duration::from_secs(60);

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, so that everybody knows it before it signs.
    Pending,
    /// Signs.
    Active,
    /// Verifies what it signed.
    Retiring,
    /// Is over.
    Retired,
}

impl KeyState {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "pending" => Self::Pending,
            "active" => Self::Active,
            "retiring" => Self::Retiring,
            _ => Self::Retired,
        }
    }
}

/// A signing key, as whoever runs the house sees it.
#[derive(Clone, Debug)]
pub struct KeyView {
    /// The key's name: its RFC 7638 thumbprint.
    pub kid: String,
    /// `EdDSA`, `ES256` or `RS256`.
    pub algorithm: String,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created: Timestamp,
    /// When it came into its state.
    pub changed: Timestamp,
}

/// What resealing did, and what still depends on an older master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// How many signing keys were sealed anew.
    pub keys: u64,
    /// How many passwords are still hashed with an older pepper: each changes at its owner's next login.
    pub passwords_left: u64,
}

impl Authy {
    /// All signing keys, the newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn list_keys(&self) -> Result<Vec<KeyView>> {
        let rows = self.db().read(&sql::LIST, &[]).await?;
        let time = |row: &tokio_postgres::Row, column| row.get::<_, SystemTime>(column).into();
        Ok(rows
            .iter()
            .map(|row| KeyView {
                kid: row.get("kid"),
                algorithm: row.get("algorithm"),
                state: KeyState::parse(row.get("state")),
                created: time(row, "created"),
                changed: time(row, "changed"),
            })
            .collect())
    }

    /// Makes the key that signs next, unless there is one; it becomes active by itself once every cache has seen it.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller may do everything.
    pub async fn rotate_key(&self, caller: &Caller) -> Result<String> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let actor = prove_full_power(&write, caller).await?;
        sql::LOCK.rows(write.tx(), &[]).await?;
        let algorithm = self.config().signing_algorithm.as_str();
        if let Some(row) = sql::FIND_STATE.row(write.tx(), &[&algorithm, &"pending"]).await? {
            return Ok(row.get("kid"));
        }
        let settings = &self.ring().settings;
        let (kid, event) = create(&write, settings, settings.algorithm, "pending", &actor).await?;
        self.commit(write, event).await?;
        self.ring().reload(self.db()).await?;
        Ok(kid)
    }

    /// Revokes a key everywhere, and with it every token that it signed. When it was the active one, a successor is active at
    /// once. A retired key can be revoked too, and has no successor.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such key or it was revoked before, [`ErrorKind::BeyondYourLevel`] unless the caller may do
    /// everything.
    pub async fn revoke_key(&self, caller: &Caller, kid: &str) -> Result<()> {
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let actor = prove_full_power(&write, caller).await?;
        sql::LOCK.rows(write.tx(), &[]).await?;
        let row = sql::FIND.row(write.tx(), &[&kid]).await?;
        let row = row.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such key"))?;
        set_state(&write, kid, KeyState::Retired).await?;
        let mut event = Event::new(EventKind::KeyRevoked, &actor).detail(json!({ "kid": kid }));
        // The successor has the algorithm of the revoked key, which other instances may use and this one not.
        let algorithm = row.get::<_, &str>("algorithm").parse().ok();
        if let Some(algorithm) = algorithm.filter(|_| row.get::<_, &str>("state") == "active") {
            // Nobody can have seen it yet; verifiers look for a key that they do not know.
            let (next, _) = create(&write, &self.ring().settings, algorithm, "active", &actor).await?;
            event = event.detail(json!({ "kid": kid, "next": next }));
        }
        self.commit(write, event.voiding(Void::Key { kid: kid.to_owned() })).await?;
        self.ring().reload(self.db()).await
    }

    /// Seals every signing key with the first master key, so that the others can go.
    ///
    /// # Errors
    /// [`ErrorKind::BeyondYourLevel`] unless the caller may do everything.
    pub async fn reseal_keys(&self, caller: &Caller) -> Result<Resealed> {
        let master = &self.ring().settings.master;
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        let actor = prove_full_power(&write, caller).await?;
        sql::LOCK.rows(write.tx(), &[]).await?;
        let mut keys = 0;
        for row in sql::LIST_SEALED.rows(write.tx(), &[]).await? {
            let (kid, sealed): (String, Vec<u8>) = (row.get("kid"), row.get("sealed"));
            if !master.sealed_with_first(&sealed)? {
                let private = match master.open(&kid, &sealed) {
                    Ok(private) => private,
                    // It does not keep the others from being sealed anew, and depends on none of these master keys.
                    Err(error) => {
                        tracing::warn!(kid, %error, "a signing key cannot be opened: it stays as it is");
                        continue;
                    }
                };
                let sealed = master.seal(&kid, &private)?;
                keys += sql::RESEAL.execute(write.tx(), &[&kid, &sealed]).await.map_err(db_error)?;
            }
        }
        let pepper = format!("%,keyid={}$%", self.passwords().pepper_id());
        let row = sql::COUNT_OTHER_PEPPERS.row(write.tx(), &[&pepper]).await?;
        let passwords_left = row.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs());
        if keys > 0 {
            let event = Event::new(EventKind::KeyResealed, &actor).detail(json!({ "keys": keys }));
            self.commit(write, event).await?;
        }
        Ok(Resealed { keys, passwords_left })
    }

    /// Takes the steps that are due in the lives of the keys; how many.
    pub(in crate::engine) async fn advance_keys(&self) -> Result<usize> {
        token_life::note(self.db(), self.config().access_ttl).await?;
        let mut steps = 0;
        while self.advance_one_key().await? {
            steps += 1;
        }
        if steps > 0 {
            self.ring().reload(self.db()).await?;
        }
        Ok(steps)
    }

    async fn advance_one_key(&self) -> Result<bool> {
        let config = self.config();
        let caller = Caller::operator(Origin::default());
        let actor = Actor::operator(&caller)?;
        // Twice, because a cache may have been filled just before the key was made, and answers travel.
        let lead = 2 * config.jwks_max_age;
        // Another instance may issue tokens that live longer, with the same keys.
        let life = self.ring().longest_life().max(config.access_ttl);
        let mut connection = self.db().connection().await?;
        let write = Write::begin(&mut connection).await?;
        sql::LOCK.rows(write.tx(), &[]).await?;
        let keys = sql::LIST_AGES.rows(write.tx(), &[&config.signing_algorithm.as_str()]).await?;
        let oldest = |state: KeyState| {
            let of_state = keys.iter().filter(move |row| row.get::<_, &str>("state") == state.as_str());
            let aged = of_state.map(|row| (row.get::<_, String>("kid"), row.get::<_, f64>("age")));
            aged.max_by(|a, b| a.1.total_cmp(&b.1))
        };
        let event = if let Some((kid, age)) = oldest(KeyState::Pending) {
            if age < lead.as_secs_f64() {
                return Ok(false);
            }
            if let Some((active, _)) = oldest(KeyState::Active) {
                set_state(&write, &active, KeyState::Retiring).await?;
            }
            set_state(&write, &kid, KeyState::Active).await?;
            Event::new(EventKind::KeyActivated, &actor).detail(json!({ "kid": kid }))
        } else if oldest(KeyState::Active)
            .is_none_or(|(_, age)| age + lead.as_secs_f64() >= config.key_rotation.as_secs_f64())
        {
            let settings = &self.ring().settings;
            create(&write, settings, settings.algorithm, "pending", &actor).await?.1
        } else {
            let expired = oldest(KeyState::Retiring).filter(|(_, age)| *age > (life + SKEW).as_secs_f64());
            let over = match expired {
                Some((kid, _)) => Some(kid),
                None => forgotten(&write, config, lead, life).await?,
            };
            let Some(kid) = over else { return Ok(false) };
            set_state(&write, &kid, KeyState::Retired).await?;
            Event::new(EventKind::KeyRetired, &actor).detail(json!({ "kid": kid }))
        };
        self.commit(write, event).await?;
        Ok(true)
    }
}

/// A key of an algorithm that was used before: an instance that used it still would have replaced the key, and what it signed has
/// expired.
async fn forgotten(
    write: &Write<'_>,
    config: &crate::engine::Config,
    lead: Duration,
    life: Duration,
) -> Result<Option<String>> {
    let age = (config.key_rotation + lead + life + SKEW).as_secs_f64();
    let row = sql::FIND_FORGOTTEN.row(write.tx(), &[&config.signing_algorithm.as_str(), &age]).await?;
    Ok(row.map(|row| row.get("kid")))
}

/// Makes the first key of this algorithm. The lock makes instances that start together agree on one.
pub(super) async fn ensure_active(db: &Db, settings: &KeySettings) -> Result<()> {
    let caller = Caller::operator(Origin::default());
    let mut connection = db.connection().await?;
    let write = Write::begin(&mut connection).await?;
    sql::LOCK.rows(write.tx(), &[]).await?;
    if sql::FIND_STATE.row(write.tx(), &[&settings.algorithm.as_str(), &"active"]).await?.is_some() {
        return Ok(());
    }
    let actor = Actor::operator(&caller)?;
    let (_, event) = create(&write, settings, settings.algorithm, "active", &actor).await?;
    write.commit(event).await.map(drop)
}

async fn create<'a>(
    write: &Write<'_>,
    settings: &KeySettings,
    algorithm: SigningAlgorithm,
    state: &str,
    actor: &Actor<'a>,
) -> Result<(String, Event<'a>)> {
    let (pair, private) = Pair::generate(algorithm)?;
    let algorithm = algorithm.as_str();
    let jwk = pair.jwk()?;
    let sealed = settings.master.seal(&jwk.kid, &private)?;
    let public: Value = json!(jwk);
    let created = sql::CREATE.execute(write.tx(), &[&jwk.kid, &algorithm, &state, &public, &sealed]).await;
    created.map_err(db_error)?;
    let event = Event::new(EventKind::KeyCreated, actor);
    Ok((jwk.kid.clone(), event.detail(json!({ "kid": jwk.kid, "alg": algorithm, "state": state }))))
}

/// Keys are for those who may do everything.
async fn prove_full_power<'a>(write: &Write<'_>, caller: &'a Caller) -> Result<Actor<'a>> {
    let actor = Actor::prove(write.tx(), caller).await?;
    actor.require_full_power()?;
    Ok(actor)
}

async fn set_state(write: &Write<'_>, kid: &str, state: KeyState) -> Result<()> {
    sql::SET_STATE.execute(write.tx(), &[&kid, &state.as_str()]).await.map(drop).map_err(db_error)
}
