//! The engine: everything that needs PostgreSQL or hashes a password.

use std::{collections::HashSet, sync::Arc};

mod actor;
mod background;
mod caller;
mod code;
mod config;
mod db;
mod event;
mod fault;
mod feed;
#[cfg(feature = "fuzz-entry-points")]
#[doc(hidden)]
pub mod fuzz;
mod hasher;
mod key;
mod lane;
mod letter;
mod lockout;
mod master;
mod migrate;
mod password;
mod relay;
mod role;
mod session;
mod sink;
mod statements;
mod throttle;
mod uncommitted;
mod upkeep;
mod user;

pub use background::Background;
pub use caller::{Caller, Origin, cut_user_agent};
pub use config::{Config, HashConfig};
pub use db::check_encryption;
#[cfg(feature = "dangerous-fault-points")]
pub use fault::{DangerousHold, Track, dangerous_die_at};
pub use feed::{Batch, RevocationSnapshot, SelfTest, SelfTestFailure};
pub use key::{KeyState, KeyView, Resealed};
pub use letter::{Letter, LetterKind};
pub use master::MasterKeys;
pub use migrate::MigrationReport;
pub use password::{Argon2Params, InvalidArgon2Params};
pub use relay::{SinkStatus, Stuck};
pub use sink::{Pace, Sink, Undelivered};
pub use uncommitted::Uncommitted;
pub use upkeep::UpkeepReport;
pub use user::{PreparedChange, PreparedReset, Registration};

use crate::{Error, ErrorKind, Result, memory::TokenMemory, revocation::Revocation, tls::Roots};
use db::Db;
use event::{Event, Write};
use feed::Feed;
use key::{KeyRing, KeySettings};
use master::MacKeys;
use password::Passwords;
use throttle::Throttle;

/// Authentication and authorization on one database. Cheap to clone.
#[derive(Clone)]
pub struct Authy(Arc<Inner>);

struct Inner {
    config: Config,
    db: Arc<Db>,
    passwords: Passwords,
    ring: KeyRing,
    memory: TokenMemory,
    feed: Arc<Feed>,
    refresh_mac: MacKeys,
    code_mac: MacKeys,
    erasure_mac: MacKeys,
    device_mac: MacKeys,
    throttle: Throttle,
    // By what they look like.
    reserved: HashSet<String>,
}

impl Authy {
    /// Begins with the database to use; several hosts and `target_session_attrs` follow a failover.
    pub fn builder(database: tokio_postgres::Config) -> Builder {
        Builder {
            database,
            master_keys: None,
            config: Config::default(),
            plain_text_anywhere: false,
            roots: Roots::platform(),
        }
    }

    /// That the database answers.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        self.db().read(&user::sql::ANY, &[]).await.map(drop)
    }

    /// PREPAREs every SQL statement against the live schema; how many there are.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when one does not fit; the log names it.
    pub async fn check(&self) -> Result<usize> {
        statements::check(&self.db().connect().await?).await
    }

    /// The page where users change their password, when there is one.
    pub fn change_password_url(&self) -> Option<&str> {
        self.config().change_password_url.as_deref()
    }

    fn config(&self) -> &Config {
        &self.0.config
    }

    /// Commits a write with its event. What it voids is void here before anybody is answered, and everywhere else soon.
    async fn commit(&self, write: Write<'_>, event: Event<'_>) -> Result<()> {
        let revoked = write.commit(event).await?;
        self.announce(&revoked);
        fault::point("the caller is told");
        Ok(())
    }

    /// Puts in force here what was committed just now, and has the sinks and the other instances look.
    fn announce(&self, revoked: &[Revocation]) {
        self.db().tell_written();
        if !revoked.is_empty() {
            self.feed().apply(revoked);
            self.feed().hint(&self.0.db);
        }
    }

    fn db(&self) -> &Db {
        &self.0.db
    }

    fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    fn ring(&self) -> &KeyRing {
        &self.0.ring
    }

    fn memory(&self) -> &TokenMemory {
        &self.0.memory
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.0.feed
    }

    fn refresh_mac(&self) -> &MacKeys {
        &self.0.refresh_mac
    }

    fn code_mac(&self) -> &MacKeys {
        &self.0.code_mac
    }

    fn erasure_mac(&self) -> &MacKeys {
        &self.0.erasure_mac
    }

    fn device_mac(&self) -> &MacKeys {
        &self.0.device_mac
    }

    fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    fn is_reserved(&self, skeleton: &str) -> bool {
        self.0.reserved.contains(skeleton)
    }
}

/// What an [`Authy`] is made of.
#[derive(Debug)]
pub struct Builder {
    database: tokio_postgres::Config,
    master_keys: Option<MasterKeys>,
    config: Config,
    plain_text_anywhere: bool,
    roots: Roots,
}

impl Builder {
    /// The master keys, which everything secret in the database depends on. Required: keep them, and keep them apart
    /// from the database.
    #[must_use]
    pub fn master_keys(mut self, keys: MasterKeys) -> Self {
        self.master_keys = Some(keys);
        self
    }

    /// How the engine behaves.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The certificate authorities that the database is verified with; the platform's when left out.
    #[must_use]
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Permits unencrypted connections to a database on another machine, whatever `sslmode` is. Only for a network that nobody
    /// else can listen on.
    #[must_use]
    pub fn dangerous_allow_plain_text(mut self) -> Self {
        self.plain_text_anywhere = true;
        self
    }

    fn check_encryption(&self) -> Result<()> {
        let refused =
            |cause| Error::with_source(ErrorKind::InvalidInput, "connections to the database must be encrypted", cause);
        match self.plain_text_anywhere {
            true => Ok(()),
            false => check_encryption(&self.database).map_err(refused),
        }
    }

    /// Brings the schema up to date, checks every statement against it, loads the signing keys or makes the first one,
    /// and starts the hash threads.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away; [`ErrorKind::Internal`] when its schema is newer than this
    /// program, or the master key is not the one it was sealed with; [`ErrorKind::InvalidInput`] when the database is on
    /// another machine and nothing says whether connections are encrypted.
    pub async fn start(self) -> Result<Authy> {
        self.check_encryption()?;
        let Self { database, master_keys, config, roots, .. } = self;
        let master = master_keys.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a master key is required"))?;
        let db = Arc::new(Db::new(database, config.connections, &roots)?);
        migrate::migrate(&db).await?;
        statements::check(&db.connect().await?).await?;
        let refresh_mac = MacKeys::new(&master, "authy refresh tokens")?;
        let code_mac = MacKeys::new(&master, "authy one-time codes")?;
        let erasure_mac = MacKeys::new(&master, "authy names of erased users")?;
        let device_mac = MacKeys::new(&master, "authy device tokens")?;
        let throttle = Throttle::new(&master)?;
        let passwords = Passwords::start(&config.hash, &master)?.refusing_breached(config.pwned_passwords.as_deref());
        let settings = KeySettings {
            algorithm: config.signing_algorithm,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            max_age: config.jwks_max_age,
            access_ttl: config.access_ttl,
            master,
        };
        let ring = KeyRing::start(&db, settings).await?;
        let reserved = user::reserved(&config.reserved_usernames);
        let (memory, feed) = (TokenMemory::new(), Arc::new(Feed::new()));
        let authy = Authy(Arc::new(Inner {
            config,
            db,
            passwords,
            ring,
            memory,
            feed,
            refresh_mac,
            code_mac,
            erasure_mac,
            device_mac,
            throttle,
            reserved,
        }));
        authy.fill_in_lookalikes().await?;
        Ok(authy)
    }

    /// Brings the schema up to date, and nothing else.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn migrate(self) -> Result<MigrationReport> {
        self.check_encryption()?;
        migrate::migrate(&Db::new(self.database, 1, &self.roots)?).await
    }
}

/// A page of a longer list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: u64,
}

impl<T> Page<T> {
    /// LIMIT and OFFSET of a page.
    fn window(page: u32, size: u32) -> (i64, i64) {
        (i64::from(size), i64::from(page.saturating_sub(1)) * i64::from(size))
    }
}
