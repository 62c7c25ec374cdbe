//! Inspects a database, and changes nothing.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Client;

use super::Builder;
use crate::{
    Result,
    engine::{
        config::MIN_CONNECTIONS,
        domain::{
            fallback_hash,
            signing_key::{self, rotation::KeyView},
        },
        storage::{connector::bounded, db::Db, migrate::newest_version, pooler::Pooler, replica::Replica},
    },
    error::chain,
    time::now,
};

/// The state of a database, for an operator.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct DatabaseReport {
    /// The version of PostgreSQL, such as `16.2`.
    pub version: String,
    /// The version as a number, such as 160002.
    pub version_number: u32,
    /// The encoding of the database, such as `UTF8`.
    pub encoding: String,
    /// Whether the server is a standby, which takes no writes.
    pub is_standby: bool,
    /// Whether this connection is encrypted, as PostgreSQL sees it.
    pub is_encrypted: bool,
    /// Whether a connection pooler, such as PgBouncer, is in front of the database. See
    /// [`Pooler`](crate::engine::Pooler).
    pub has_pooler: bool,
    /// The default isolation level of transactions. The engine sets its own.
    pub isolation: String,
    /// The default of the setting `synchronous_commit`. The engine sets at least `on`.
    pub synchronous_commit: String,
    /// The setting `synchronous_standby_names`; empty when a commit waits for no standby.
    pub synchronous_standby_names: String,
    /// The number of standbys that are connected.
    pub standbys: u32,
    /// The number of connections that the user may open in addition to those that are open.
    pub connections_left: u32,
    /// The maximum number of connections of the server.
    pub max_connections: u32,
    /// By how many milliseconds the clock of the database is ahead of the clock of this machine; negative when it is
    /// behind.
    pub clock_ahead_ms: i64,
    /// The accuracy of `clock_ahead_ms`: half of the time that the question took.
    pub clock_accuracy: Duration,
    /// The version of the schema; `None` when there is none.
    pub schema: Option<u32>,
    /// The version of the schema that this program creates.
    pub newest_schema: u32,
    /// Whether the user may create the schema, or change it.
    pub can_migrate: bool,
    /// The tables that the user may not read and write.
    pub forbidden_tables: Vec<String>,
    /// The issuer of the tokens, which the database keeps; `None` before the first start of a server.
    pub issuer: Option<String>,
    /// The standby for reads that may lag, if one is configured: how far it is behind in bytes of the write-ahead log, or why it
    /// cannot be used.
    pub replica: Option<Result<u64, String>>,
    /// The number of password hashes that are kept for the first authy, which are weaker than those that are verified.
    pub fallback_hashes: u64,
    /// The signing keys, newest first; none without a schema.
    pub keys: Vec<InspectedKey>,
}

/// A signing key, and whether the master keys decrypt it.
#[derive(Clone, Debug)]
pub struct InspectedKey {
    /// The key.
    pub key: KeyView,
    /// Whether one of the master keys decrypts the private key.
    pub is_readable: bool,
}

const SETTINGS: &str = "
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int4 AS number,
           (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) AS encoding,
           pg_is_in_recovery() AS standby,
           coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted,
           (SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_isolation') AS isolation,
           (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit') AS synchronous_commit,
           current_setting('synchronous_standby_names') AS standby_names,
           (SELECT count(*)::int4 FROM pg_stat_replication) AS standbys,
           current_setting('max_connections')::int4 AS max_connections";

/// The limits of the server, of the role and of the database; -1 is no limit, and `least` ignores NULL.
const CONNECTIONS_LEFT: &str = "
    SELECT greatest(0, least(
               current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8
                   - (SELECT sum(numbackends) FROM pg_stat_database),
               (SELECT nullif(rolconnlimit, -1) - (SELECT count(*) FROM pg_stat_activity WHERE usename = rolname)
                FROM pg_roles WHERE rolname = current_user),
               (SELECT nullif(datconnlimit, -1) - numbackends
                FROM pg_database JOIN pg_stat_database ON datid = pg_database.oid
                WHERE pg_database.datname = current_database())
           ))::int4 AS left";

const RIGHTS: &str = "
    SELECT coalesce((SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'authy'),
                    has_database_privilege(current_database(), 'CREATE')) AS can_migrate,
           ARRAY(SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                 WHERE nspname = 'authy' AND relkind IN ('r', 'p')
                   AND NOT (has_schema_privilege(relnamespace, 'USAGE')
                            AND has_table_privilege(pg_class.oid, 'SELECT')
                            AND has_table_privilege(pg_class.oid, 'INSERT')
                            AND has_table_privilege(pg_class.oid, 'UPDATE')
                            AND has_table_privilege(pg_class.oid, 'DELETE'))
                 ORDER BY relname) AS forbidden,
           EXISTS (SELECT FROM pg_tables WHERE schemaname = 'authy' AND tablename = 'migration') AS has_schema";

impl Builder {
    /// Connects to the database and returns its state. Applies no migration, starts nothing, and changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available;
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the configuration has no host, or would send
    /// passwords to another machine without encryption; [`ErrorKind::Internal`](crate::ErrorKind::Internal) when the
    /// database refuses the user or a question.
    pub async fn inspect(self) -> Result<DatabaseReport> {
        self.check_databases()?;
        // Finds out whether there is a pooler, whatever the configuration says.
        let db = Db::new(self.database.clone(), MIN_CONNECTIONS, Pooler::Auto, &self.roots)?;
        let client = db.connect().await?;
        let (clock_ahead_ms, clock_accuracy) = compare_clocks(&client).await?;
        let settings = bounded(client.query_typed_one(SETTINGS, &[])).await?;
        let left = bounded(client.query_typed_one(CONNECTIONS_LEFT, &[])).await?;
        let rights = bounded(client.query_typed_one(RIGHTS, &[])).await?;
        let forbidden_tables: Vec<String> = rights.get("forbidden");
        // Without rights the question itself would be refused.
        let has_tables = rights.get("has_schema") && forbidden_tables.is_empty();
        let number = |column| settings.get::<_, i32>(column).unsigned_abs();
        Ok(DatabaseReport {
            version: settings.get("version"),
            version_number: number("number"),
            encoding: settings.get("encoding"),
            is_standby: settings.get("standby"),
            is_encrypted: settings.get("encrypted"),
            has_pooler: db.shares_sessions(),
            isolation: settings.get("isolation"),
            synchronous_commit: settings.get("synchronous_commit"),
            synchronous_standby_names: settings.get("standby_names"),
            standbys: number("standbys"),
            connections_left: left.get::<_, i32>("left").unsigned_abs(),
            max_connections: number("max_connections"),
            clock_ahead_ms,
            clock_accuracy,
            schema: if has_tables { Some(schema_version(&client).await?) } else { None },
            newest_schema: newest_version(),
            can_migrate: rights.get("can_migrate"),
            forbidden_tables,
            issuer: if has_tables { kept_issuer(&client).await? } else { None },
            replica: match &self.replica {
                Some(replica) => {
                    Some(self.inspect_replica(&db, replica).await.map_err(|error| chain(&error).to_string()))
                }
                None => None,
            },
            fallback_hashes: if has_tables { kept_fallback_hashes(&client).await? } else { 0 },
            keys: if has_tables { self.inspect_keys(&client).await? } else { Vec::new() },
        })
    }

    async fn inspect_replica(&self, primary: &Db, replica: &tokio_postgres::Config) -> Result<u64> {
        let replica = Db::standby(replica.clone(), MIN_CONNECTIONS, Pooler::Auto, &self.roots)?;
        Replica::new(replica, self.config.max_replica_lag).bytes_behind(primary).await
    }

    async fn inspect_keys(&self, client: &Client) -> Result<Vec<InspectedKey>> {
        let exists = "SELECT 1 FROM pg_tables WHERE schemaname = 'authy' AND tablename = 'signing_key'";
        if bounded(client.query_typed_opt(exists, &[])).await?.is_none() {
            return Ok(Vec::new());
        }
        let rows = bounded(client.query_typed(signing_key::sql::LIST_WITH_PRIVATE.sql, &[])).await?;
        let inspected = rows.iter().map(|row| {
            let key = KeyView::of(row);
            let master = self.master_keys.as_ref();
            let is_readable = master.is_some_and(|master| master.open(&key.kid, row.get("sealed")).is_ok());
            InspectedKey { key, is_readable }
        });
        Ok(inspected.collect())
    }
}

/// Returns by how many milliseconds the clock of the database is ahead, and how accurate that is.
async fn compare_clocks(client: &Client) -> Result<(i64, Duration)> {
    let (asked, clock) = (Instant::now(), now());
    let theirs: DateTime<Utc> = bounded(client.query_typed_one("SELECT clock_timestamp()", &[])).await?.get(0);
    let accuracy = asked.elapsed() / 2;
    let ours = clock + TimeDelta::from_std(accuracy).unwrap_or_default();
    Ok(((theirs - ours).num_milliseconds(), accuracy))
}

async fn kept_issuer(client: &Client) -> Result<Option<String>> {
    let exists = "SELECT 1 FROM pg_tables WHERE schemaname = 'authy' AND tablename = 'installation'";
    if bounded(client.query_typed_opt(exists, &[])).await?.is_none() {
        return Ok(None);
    }
    let row = bounded(client.query_typed_opt("SELECT issuer FROM authy.installation", &[])).await?;
    Ok(row.and_then(|row| row.get("issuer")))
}

async fn kept_fallback_hashes(client: &Client) -> Result<u64> {
    let exists = "SELECT 1 FROM pg_tables WHERE schemaname = 'authy' AND tablename = 'fallback_hash'";
    if bounded(client.query_typed_opt(exists, &[])).await?.is_none() {
        return Ok(0);
    }
    let row = bounded(client.query_typed_one(fallback_hash::sql::COUNT.sql, &[])).await?;
    Ok(row.get::<_, i64>("kept").unsigned_abs())
}

async fn schema_version(client: &Client) -> Result<u32> {
    let row =
        bounded(client.query_typed_one("SELECT coalesce(max(version), 0)::int8 FROM authy.migration", &[])).await?;
    Ok(u32::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}
