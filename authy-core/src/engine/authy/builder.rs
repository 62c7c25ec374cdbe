//! Builds an [`Authy`] from a database configuration and master keys.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use super::{Authy, Handles};
use crate::{
    Error, ErrorKind, Result,
    engine::{
        check,
        config::{Config, MIN_CONNECTIONS},
        crypto::{master::MasterKeys, password::Passwords},
        delivery::{Deliveries, relay::lag::RelayLag, sink::Sink},
        domain::{
            code::Codes,
            credential::PasswordVerifier,
            erased_name::ErasedNames,
            fallback_hash::FallbackHashes,
            instance::Instances,
            issuer::ConfiguredIssuer,
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
            migrate::{MigrationReport, migrate, require_schema},
            replica::Replica,
            wait::until_available,
        },
    },
    tls::Roots,
};

pub(crate) mod inspect;

/// Builds an [`Authy`].
///
/// ```
/// use authy_core::{
///     Authy,
///     engine::{Config, MasterKeys, Sink},
/// };
///
/// # async fn build(keys: MasterKeys, greeter: impl Sink) -> Result<Authy, Box<dyn std::error::Error>> {
/// let config = Config { issuer: Some("https://shop.example".to_owned()), ..Config::default() };
/// let authy = Authy::builder("host=db.internal sslmode=require user=shop dbname=shop".parse()?)
///     .master_keys(keys)
///     .config(config)
///     .sink(greeter)
///     .start()
///     .await?;
/// # Ok(authy)
/// # }
/// ```
#[derive(Debug)]
pub struct Builder {
    database: tokio_postgres::Config,
    replica: Option<tokio_postgres::Config>,
    master_keys: Option<MasterKeys>,
    config: Config,
    default_issuer: Option<String>,
    is_beside_servers: bool,
    start_timeout: Duration,
    allows_plain_text: bool,
    roots: Roots,
    has_background: bool,
    sinks: Vec<SinkMaker>,
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// Makes a sink from the engine that it is a sink of.
struct SinkMaker(Box<MakeSink>);

type MakeSink = dyn FnOnce(&Authy) -> Result<Arc<dyn Sink>, BoxError> + Send;

impl fmt::Debug for SinkMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SinkMaker")
    }
}

impl Builder {
    pub(super) fn new(database: tokio_postgres::Config) -> Self {
        let (config, roots) = (Config::default(), Roots::platform());
        Self {
            database,
            replica: None,
            master_keys: None,
            config,
            default_issuer: None,
            is_beside_servers: false,
            start_timeout: Duration::ZERO,
            allows_plain_text: false,
            roots,
            has_background: true,
            sinks: Vec::new(),
        }
    }

    /// Sets the master keys. Required: all secrets in the database depend on them. Back them up, separately from the
    /// database.
    #[must_use]
    pub fn master_keys(mut self, keys: MasterKeys) -> Self {
        self.master_keys = Some(keys);
        self
    }

    /// Adds a standby of the database, for reads that may miss the last seconds: the lists of users and events, and exports. They go
    /// to the primary while the standby is behind by more than [`Config::max_replica_lag`], or does not answer. Needs the background
    /// work, which watches it.
    #[must_use]
    pub fn replica(mut self, standby: tokio_postgres::Config) -> Self {
        self.replica = Some(standby);
        self
    }

    /// Sets the configuration of the engine.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the issuer of a new database, for a program that leaves out [`Config::issuer`]: for example the address at which the
    /// first instance listens.
    #[must_use]
    pub fn default_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.default_issuer = Some(issuer.into());
        self
    }

    /// Sets how long [`start`](Self::start) and [`migrate`](Self::migrate) wait for a database that is not available. They log a
    /// warning when the wait begins, and every five seconds. Errors that a wait does not mend, such as a wrong password,
    /// end it at once. Default: not at all.
    #[must_use]
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
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

    /// Adds a sink. With the first start on a database it gets every event; when it is added later, every event from the
    /// first start with it on.
    #[must_use]
    pub fn sink(self, sink: impl Sink) -> Self {
        self.sink_with(|_| Ok(sink))
    }

    /// Adds a sink that uses the engine. When it cannot be made, [`start`](Self::start) fails.
    ///
    /// The `Authy` that `make` gets does not keep the background work running: the work ends when all others have been
    /// dropped.
    #[must_use]
    pub fn sink_with<S: Sink>(mut self, make: impl FnOnce(&Authy) -> Result<S, BoxError> + Send + 'static) -> Self {
        self.sinks.push(SinkMaker(Box::new(|authy| Ok(Arc::new(make(authy)?)))));
        self
    }

    /// Starts no background work. Then every token check queries the database, which is slower but equally correct;
    /// keys do not rotate, no event reaches a sink, and nothing that has expired is deleted. For programs that run for a
    /// moment, and for those that start it later: [`Authy::start_background_with`].
    #[must_use]
    pub fn without_background(mut self) -> Self {
        self.has_background = false;
        self
    }

    /// For a program of an operator beside the servers: starts without background work, leaves the schema and the keys of the
    /// servers as they are, and only creates those of a new database.
    #[must_use]
    pub fn beside_servers(mut self) -> Self {
        (self.is_beside_servers, self.has_background) = (true, false);
        self
    }

    fn check_databases(&self) -> Result<()> {
        if self.config.connections < MIN_CONNECTIONS {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the engine needs at least two database connections (AUTHY_DATABASE_CONNECTIONS, Config::connections)",
            ));
        }
        let all = [Some(&self.database), self.replica.as_ref()];
        all.into_iter().flatten().try_for_each(|config| self.check_database(config))
    }

    fn check_database(&self, config: &tokio_postgres::Config) -> Result<()> {
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the database has no host: name one, such as host=localhost, or the folder of a unix socket, such as \
                 host=/var/run/postgresql",
            ));
        }
        let refused =
            |cause| Error::with_source(ErrorKind::InvalidInput, "connections to the database must be encrypted", cause);
        match self.allows_plain_text {
            true => Ok(()),
            false => check_encryption(config).map_err(refused),
        }
    }

    /// Applies pending migrations, prepares every statement, loads the signing keys or creates the first one, starts the
    /// hashing threads, and starts the background work: it follows revocations, so that a token check does not query the
    /// database, delivers events to the sinks, rotates the keys, and deletes what has expired. It ends with
    /// [`Authy::stop`], or when the last clone of the `Authy` is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is not available; [`ErrorKind::Internal`] when its schema is newer
    /// than this program, or the master key is not the one that encrypted its keys; [`ErrorKind::InvalidInput`] when
    /// the configuration of the database has no host, or names another machine and does not specify whether connections
    /// are encrypted, when there are fewer than [`MIN_CONNECTIONS`] connections, when the database is not encoded in UTF-8 or
    /// its server is older than PostgreSQL 13, when the issuer is not the one that the database keeps, when a sink cannot be
    /// made, or when there are sinks and no background work.
    pub async fn start(mut self) -> Result<Authy> {
        let (has_background, sinks) = (self.has_background, std::mem::take(&mut self.sinks));
        let start_timeout = self.start_timeout;
        if !has_background && !sinks.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "sinks need the background work: leave out without_background, or pass them to start_background_with",
            ));
        }
        let authy = self.open().await?;
        if has_background {
            let in_sinks = Authy { handles: authy.handles.clone(), background: Arc::default() };
            let made: Result<Vec<_>, _> = sinks.into_iter().map(|SinkMaker(make)| make(&in_sinks)).collect();
            let sinks =
                made.map_err(|cause| Error::with_source(ErrorKind::InvalidInput, "a sink cannot be made", cause))?;
            let db = &authy.handles.journal.db;
            let background = until_available(db, start_timeout, || authy.start_background_with(sinks.clone())).await?;
            *authy.background.lock().await = Some(background);
        }
        Ok(authy)
    }

    async fn open(self) -> Result<Authy> {
        self.check_databases()?;
        let Self {
            database,
            replica,
            master_keys,
            config,
            default_issuer,
            start_timeout,
            roots,
            is_beside_servers,
            ..
        } = self;
        let master = master_keys.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a master key is required"))?;
        let config = Arc::new(config);
        let mut db = Db::new(database, config.connections, config.pooler, &roots)?;
        if let Some(replica) = replica {
            let replica = Db::standby(replica, config.connections, config.pooler, &roots)?;
            db = Replica::new(replica, config.max_replica_lag).of(db);
        }
        let db = Arc::new(db);
        let feed = Arc::new(RevocationFeed::new(db.clone(), config.max_staleness));
        let journal = Arc::new(Journal { db: db.clone(), feed });
        let (codes, erased) = (Codes::new(&master)?, ErasedNames::new(&master)?);
        let breached = config.pwned_passwords.as_deref();
        let passwords = Arc::new(Passwords::start(&config.hash, &master)?.refusing_breached(breached));
        let issuer = ConfiguredIssuer { required: config.issuer.clone(), default: default_issuer };
        // All that a start asks the database, which may go away in the middle of it. Whatever was done is found done.
        let prepared = until_available(&db, start_timeout, || async {
            prepare(&db, is_beside_servers).await?;
            let settings = KeySettings {
                algorithm: config.signing_algorithm,
                issuer: issuer.resolve(&db).await?,
                audience: config.audience.clone(),
                max_age: config.jwks_max_age,
                access_ttl: config.access_ttl,
                rotation: config.key_rotation,
                master: master.clone(),
                pepper_id: passwords.pepper_id(),
            };
            let keys = SigningKeys::start(journal.clone(), settings, is_beside_servers).await?;
            if !is_beside_servers {
                lookalike::fill_in(&db).await?;
            }
            Ok(keys)
        });
        let keys = Arc::new(prepared.await?);
        let limiter = GuessLimiter::new(db.clone(), &master)?;
        let mut fallback = FallbackHashes::new(master.clone());
        if config.keep_fallback_hashes {
            fallback = fallback.keeping(db.clone(), passwords.clone());
        }
        let passwords = PasswordVerifier::new(journal.clone(), passwords, limiter, fallback)?;
        let sessions = Sessions::new(journal.clone(), config.clone(), keys.clone(), passwords.clone(), &master)?;
        let handles = Handles {
            instances: Arc::new(Instances::new(journal.clone(), sessions.counts().clone())),
            sessions,
            users: Users::new(journal.clone(), &config, passwords.clone(), codes.clone(), erased.clone()),
            roles: Roles::new(journal.clone()),
            events: Events::new(db.clone()),
            deliveries: Deliveries::new(journal.clone(), codes, erased.clone()),
            erased,
            passwords,
            relay_lag: Arc::new(RelayLag::new(db)),
            config,
            journal,
            keys,
        };
        Ok(Authy { handles: Arc::new(handles), background: Arc::default() })
    }

    /// Applies pending migrations, and does nothing else.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn migrate(self) -> Result<MigrationReport> {
        self.check_databases()?;
        let db = Db::new(self.database, MIN_CONNECTIONS, self.config.pooler, &self.roots)?;
        until_available(&db, self.start_timeout, || migrate(&db)).await
    }
}

/// Brings the schema up to date, unless that is for the servers to do, and checks that every statement fits it.
async fn prepare(db: &Db, is_beside_servers: bool) -> Result<()> {
    match is_beside_servers {
        true => require_schema(db).await?,
        false => migrate(db).await.map(drop)?,
    }
    check::check(&db.connect().await?).await.map(drop)
}
