//! The database that is configured, or a PostgreSQL in the data folder; its master key; and the engine on it.

use std::time::Duration;

use authy_core::{
    Authy, Error, ErrorKind,
    engine::{Builder, Config, HashConfig, LegacyTokens, MasterKeys},
    error::chain,
};

use super::{error::BoxError, reached_at::ReachedAt};
use crate::{
    compat::Compat,
    config::{HmacSecret, List, ReplicaUrl, Settings},
};

#[cfg(feature = "embedded-postgres")]
mod embedded;
#[cfg(not(feature = "embedded-postgres"))]
#[path = "database/not_embedded.rs"]
mod embedded;

/// Interval at which a server tests its own revocations: a fault is noticed soon, and one row per minute costs little.
const SELF_TEST: Duration = Duration::from_secs(60);

/// A database URL without a master key.
pub(crate) const NO_MASTER_KEY: &str = "with AUTHY_DATABASE_URL a master key is required: set AUTHY_MASTER_KEY or AUTHY_MASTER_KEY_FILE to base64 of 32 random \
     bytes, as `openssl rand -base64 32` prints it, and keep it";

/// The database, and its cluster when the program has started it.
pub(crate) struct Database {
    config: tokio_postgres::Config,
    #[cfg(feature = "embedded-postgres")]
    cluster: Option<authy_postgres::Cluster>,
    keys: MasterKeys,
}

/// Whether the database may be in use by a server that runs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sharing {
    /// No: a second server in the same data folder would be an error.
    Alone,
    /// Yes: a command may run beside a server.
    Beside,
    /// Perhaps: an import may run beside a server, and before its first start.
    BesideOrFirst,
}

impl Database {
    /// Opens the database that is configured, or the one in the data folder, which is created when there is none.
    pub(crate) async fn open(settings: &Settings, sharing: Sharing) -> Result<Self, BoxError> {
        if let Some(url) = &settings.database_url {
            let keys = settings.master_key.clone().ok_or(NO_MASTER_KEY)?;
            return Ok(Self {
                config: url.config.clone(),
                #[cfg(feature = "embedded-postgres")]
                cluster: None,
                keys,
            });
        }
        embedded::open(settings, sharing).await
    }

    /// Returns the engine on this database, not yet started. It uses the issuer that the database keeps.
    pub(crate) fn engine(&self, settings: &Settings) -> Builder {
        self.engine_with(engine_config(settings), settings)
    }

    /// Returns the engine of a server, which insists on the issuer that is configured, if any.
    pub(super) fn server_engine(&self, settings: &Settings, reached_at: &ReachedAt) -> Builder {
        #[cfg_attr(not(feature = "ui"), expect(unused_mut, reason = "the pages set more"))]
        let mut config = Config { issuer: settings.issuer.clone(), ..engine_config(settings) };
        #[cfg(feature = "ui")]
        if config.change_password_url.is_none() {
            config.change_password_url = super::pages::page_url(settings, reached_at, "/account/password");
        }
        self.engine_with(config, settings).default_issuer(&*reached_at.public_url).start_timeout(settings.start_timeout)
    }

    fn engine_with(&self, config: Config, settings: &Settings) -> Builder {
        let builder = Authy::builder(self.config.clone()).master_keys(self.keys.clone());
        let builder = builder.roots(settings.database_roots()).config(config);
        match &settings.database_replica_url {
            Some(ReplicaUrl(standby)) => builder.replica(standby.config.clone()),
            None => builder,
        }
    }

    /// Returns whether there is a database to connect to, without starting one.
    pub(crate) fn can_be_asked(settings: &Settings) -> bool {
        settings.database_url.is_some() || embedded::is_running(settings)
    }

    /// Returns whether a command that creates a database would create one: none is configured, and there is none in the data
    /// folder.
    pub(crate) fn would_be_created(settings: &Settings) -> bool {
        settings.database_url.is_none() && embedded::is_missing(settings)
    }

    /// Returns whether the PostgreSQL of a server in the data folder has ended since this was opened.
    pub(crate) fn has_ended(&self, settings: &Settings) -> bool {
        settings.database_url.is_none() && embedded::has_ended(self, settings)
    }

    /// Stops the cluster that the program has started.
    pub(crate) async fn close(self) -> Result<(), BoxError> {
        #[cfg(feature = "embedded-postgres")]
        if let Some(cluster) = self.cluster {
            cluster.stop().await?;
        }
        Ok(())
    }
}

/// Adds to the error of a start what an operator can do.
pub(crate) fn explain(error: Error) -> BoxError {
    match error.kind() {
        ErrorKind::Unavailable => format!(
            "{}. Check AUTHY_DATABASE_URL, and that PostgreSQL runs; AUTHY_START_TIMEOUT is how long `serve` and `migrate` wait for it",
            chain(&error)
        )
        .into(),
        _ => error.into(),
    }
}

/// Returns the configuration of the engine that the settings ask for, with the issuer of the database.
pub(crate) fn engine_config(settings: &Settings) -> Config {
    let defaults = Config::default();
    let threads = settings.hash_threads.unwrap_or(defaults.hash.threads);
    let reserved = settings.reserved_usernames.clone();
    Config {
        // That of the database, unless a server insists on another.
        issuer: None,
        audience: settings.audience.clone(),
        signing_algorithm: settings.signing_alg,
        access_ttl: settings.access_ttl,
        refresh_idle: settings.refresh_idle,
        refresh_absolute: settings.refresh_absolute,
        refresh_grace: settings.refresh_grace,
        max_staleness: settings.max_staleness,
        self_test: settings.self_test.then_some(SELF_TEST),
        jwks_max_age: settings.jwks_max_age,
        key_rotation: settings.key_rotation,
        event_retention: settings.event_retention,
        invitation_ttl: settings.invitation_ttl,
        require_validated: settings.require_validated,
        admin_sets_passwords: settings.admin_sets_passwords,
        change_password_url: settings.change_password_url.as_ref().map(|url| url.as_str().to_owned()),
        reserved_usernames: reserved.map_or(defaults.reserved_usernames, |List(names)| names),
        pwned_passwords: settings.pwned_passwords.clone(),
        connections: settings.database_connections.0,
        pooler: settings.database_pooler,
        legacy_tokens: settings
            .legacy_hs512_secret
            .clone()
            .map(|HmacSecret(secret)| LegacyTokens { secret, max_lifetime: settings.legacy_hs512_lifetime }),
        keep_fallback_hashes: matches!(settings.compat, Some(Compat::Poptape)),
        max_replica_lag: settings.database_replica_max_lag,
        hash: HashConfig { threads, queue: settings.hash_queue.unwrap_or(64 * threads), argon2: settings.argon2 },
    }
}

#[cfg(test)]
mod tests {
    use authy_core::engine::Pooler;

    use super::*;
    use crate::config::Sources;

    #[test]
    fn the_engine_connects_as_it_is_configured() {
        let mut sources = Sources::default();
        for (key, value) in [("database_connections", "5"), ("database_pooler", "session")] {
            sources.flags.insert(key.to_owned(), value.to_owned());
        }
        let config = engine_config(&sources.settings().unwrap().1);
        assert_eq!((config.connections, config.pooler), (5, Pooler::Session));
    }
}
