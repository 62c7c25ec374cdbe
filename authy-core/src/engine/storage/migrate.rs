//! Migrates the schema, one instance at a time.

use std::{error::Error as _, iter::successors, time::Duration};

use tokio::time::sleep;
use tokio_postgres::{Client, IsolationLevel, SimpleQueryMessage};

use crate::{
    Error, ErrorKind, Result,
    engine::storage::{
        connector::{db_error, describe},
        db::Db,
    },
};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The number of the advisory lock: "authy" in ASCII, so that other programs are unlikely to use it.
const MIGRATION_LOCK: i64 = 0x61_75_74_68_79;

/// The result of a migration.
#[derive(Clone, Debug)]
pub struct MigrationReport {
    /// The names of the applied migrations, in order; empty when the schema was up to date.
    pub applied: Vec<String>,
    /// The current version of the schema.
    pub version: u32,
}

/// An index of a large table. A migration is a transaction, in which building the index would block all writes. So the
/// index is built before, concurrently, and the migration finds it (`IF NOT EXISTS`).
struct LargeIndex {
    /// The migration that the index belongs to.
    version: i64,
    name: &'static str,
    /// The rest of the definition, after the name.
    definition: &'static str,
    is_unique: bool,
}

const LARGE_INDEXES: &[LargeIndex] = &[
    LargeIndex {
        version: 20,
        name: "users_email_owner",
        definition: "ON authy.users (email_key, (CASE WHEN validated_at IS NULL THEN public_id
                     ELSE '00000000-0000-0000-0000-000000000000' END))",
        is_unique: true,
    },
    LargeIndex {
        version: 25,
        name: "users_deleted",
        definition: "ON authy.users (created, public_id) WHERE deleted_at IS NOT NULL",
        is_unique: false,
    },
    LargeIndex {
        version: 25,
        name: "users_unconfirmed",
        definition: "ON authy.users (created, public_id) WHERE validated_at IS NULL",
        is_unique: false,
    },
];

/// Interval at which the lock is tried. An instance that waited in the database would hold a snapshot, and a concurrent
/// index build waits for every older snapshot: both would wait forever.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Applies pending migrations. A transaction on a separate connection holds the lock, so that several instances can
/// start at the same time.
pub(in crate::engine) async fn migrate(db: &Db) -> Result<MigrationReport> {
    let mut guard = db.connect().await?;
    // Between its statements the transaction must hold no snapshot, for the same reason. So it is READ COMMITTED
    // regardless of the default, and uses the simple protocol: a portal of the extended protocol keeps its snapshot
    // until the next statement.
    let lock =
        guard.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await.map_err(db_error)?;
    let try_lock = format!("SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK})");
    loop {
        let answered = lock.simple_query(&try_lock).await.map_err(db_error)?;
        let is_locked = |message: &_| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"));
        if answered.iter().any(is_locked) {
            break;
        }
        sleep(LOCK_RETRY_INTERVAL).await;
    }
    let mut client = db.connect().await?;
    let report = apply(&mut client).await;
    drop(lock);
    report
}

async fn apply(client: &mut Client) -> Result<MigrationReport> {
    // Checked first: CREATE SCHEMA requires the permission to create even when the schema exists.
    let exists = client.query_opt("SELECT 1 FROM pg_namespace WHERE nspname = 'authy'", &[]).await.map_err(db_error)?;
    if exists.is_none() {
        client.batch_execute("CREATE SCHEMA authy").await.map_err(db_error)?;
    }
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name("authy.migration");
    let newest = runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0);
    let table = client.query_opt("SELECT 1 FROM pg_tables WHERE schemaname = 'authy' AND tablename = 'migration'", &[]);
    if table.await.map_err(db_error)?.is_some() {
        let row = client.query_one("SELECT coalesce(max(version), 0)::bigint FROM authy.migration", &[]);
        let applied: i64 = row.await.map_err(db_error)?.get(0);
        if applied > newest {
            tracing::error!(database = applied, program = newest, "the database schema is newer than this program");
            return Err(Error::new(
                ErrorKind::Internal,
                "the database schema is newer than this program: install the version that created it, or a later one",
            ));
        }
        for index in LARGE_INDEXES.iter().filter(|index| applied > 0 && index.version > applied) {
            index.build(client).await.map_err(db_error)?;
        }
    }
    let report = runner.run_async(client).await.map_err(|cause| {
        let causes = successors(cause.source(), |cause| (*cause).source());
        let found = causes.filter_map(|cause| cause.downcast_ref::<tokio_postgres::Error>()).map(describe).next();
        match found {
            Some((ErrorKind::Unavailable, detail)) => Error::with_source(ErrorKind::Unavailable, detail, cause),
            _ => Error::with_source(ErrorKind::Internal, "the database schema cannot be brought up to date", cause),
        }
    })?;
    Ok(MigrationReport {
        applied: report.applied_migrations().iter().map(ToString::to_string).collect(),
        version: u32::try_from(newest).unwrap_or_default(),
    })
}

impl LargeIndex {
    async fn build(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let Self { name, definition, is_unique, .. } = self;
        // An interrupted attempt leaves an invalid index.
        let broken = "SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                      WHERE relnamespace = 'authy'::regnamespace AND relname = $1 AND NOT indisvalid";
        if client.query_opt(broken, &[name]).await?.is_some() {
            client.batch_execute(&format!("DROP INDEX CONCURRENTLY authy.{name}")).await?;
        }
        tracing::info!(index = name, "building an index without blocking writes: this may take minutes");
        let unique = if *is_unique { "UNIQUE" } else { "" };
        client.batch_execute(&format!("CREATE {unique} INDEX CONCURRENTLY IF NOT EXISTS {name} {definition}")).await
    }
}
