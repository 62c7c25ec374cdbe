//! Builds an [`Authy`] from a database configuration and master keys.

use std::sync::Arc;

use super::{Authy, Handles};
use crate::{
    Error, ErrorKind, Result,
    engine::{
        check,
        config::Config,
        crypto::{master::MasterKeys, password::Passwords},
        delivery::Deliveries,
        domain::{
            code::Codes,
            credential::PasswordVerifier,
            erased_name::ErasedNames,
            lookalike,
            role::Roles,
            session::Sessions,
            signing_key::{KeySettings, SigningKeys},
            throttle::GuessLimiter,
            user::Users,
        },
        journal::{event::Events, revocation::RevocationFeed, write::Journal},
        storage::{
            connector::check_encryption,
            db::Db,
            migrate::{MigrationReport, migrate},
        },
    },
    tls::Roots,
};

/// Builds an [`Authy`].
#[derive(Debug)]
pub struct Builder {
    database: tokio_postgres::Config,
    master_keys: Option<MasterKeys>,
    config: Config,
    allows_plain_text: bool,
    roots: Roots,
}

impl Builder {
    pub(super) fn new(database: tokio_postgres::Config) -> Self {
        let (config, roots) = (Config::default(), Roots::platform());
        Self { database, master_keys: None, config, allows_plain_text: false, roots }
    }

    /// Sets the master keys. Required: all secrets in the database depend on them. Back them up, separately from the
    /// database.
    #[must_use]
    pub fn master_keys(mut self, keys: MasterKeys) -> Self {
        self.master_keys = Some(keys);
        self
    }

    /// Sets the configuration of the engine.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the certificate authorities that verify the database server. Default: those of the platform.
    #[must_use]
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Permits unencrypted connections to a database on another machine, whatever `sslmode` is. Use it only on a
    /// network where nobody else can listen.
    #[must_use]
    pub fn dangerous_allow_plain_text(mut self) -> Self {
        self.allows_plain_text = true;
        self
    }

    fn check_encryption(&self) -> Result<()> {
        let refused =
            |cause| Error::with_source(ErrorKind::InvalidInput, "connections to the database must be encrypted", cause);
        match self.allows_plain_text {
            true => Ok(()),
            false => check_encryption(&self.database).map_err(refused),
        }
    }

    /// Applies pending migrations, prepares every statement, loads the signing keys or creates the first one, and
    /// starts the hashing threads.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available; [`ErrorKind::Internal`] when its schema is newer
    /// than this program, or the master key is not the one that encrypted its keys; [`ErrorKind::InvalidInput`] when
    /// the database is on another machine and its configuration does not specify whether connections are encrypted.
    pub async fn start(self) -> Result<Authy> {
        self.check_encryption()?;
        let Self { database, master_keys, config, roots, .. } = self;
        let master = master_keys.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a master key is required"))?;
        let config = Arc::new(config);
        let db = Arc::new(Db::new(database, config.connections, &roots)?);
        migrate(&db).await?;
        check::check(&db.connect().await?).await?;
        let feed = Arc::new(RevocationFeed::new(db.clone(), config.max_staleness));
        let journal = Arc::new(Journal { db: db.clone(), feed });
        let (codes, erased) = (Codes::new(&master)?, ErasedNames::new(&master)?);
        let breached = config.pwned_passwords.as_deref();
        let passwords = Arc::new(Passwords::start(&config.hash, &master)?.refusing_breached(breached));
        let settings = KeySettings {
            algorithm: config.signing_algorithm,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            max_age: config.jwks_max_age,
            access_ttl: config.access_ttl,
            rotation: config.key_rotation,
            master: master.clone(),
            pepper_id: passwords.pepper_id(),
        };
        let keys = Arc::new(SigningKeys::start(journal.clone(), settings).await?);
        let limiter = GuessLimiter::new(db.clone(), &master)?;
        let passwords = PasswordVerifier::new(journal.clone(), passwords, limiter);
        lookalike::fill_in(&db).await?;
        Ok(Authy(Arc::new(Handles {
            sessions: Sessions::new(journal.clone(), config.clone(), keys.clone(), passwords.clone(), &master)?,
            users: Users::new(journal.clone(), &config, passwords, codes.clone(), erased.clone()),
            roles: Roles::new(journal.clone()),
            events: Events::new(db),
            deliveries: Deliveries::new(journal.clone(), codes, erased),
            config,
            journal,
            keys,
        })))
    }

    /// Applies pending migrations, and does nothing else.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn migrate(self) -> Result<MigrationReport> {
        self.check_encryption()?;
        migrate(&Db::new(self.database, 1, &self.roots)?).await
    }
}
