//! Brings the schema up to date, one instance at a time.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::{Client, IsolationLevel, SimpleQueryMessage};

use crate::{
    Error, ErrorKind, Result,
    engine::storage::{connector::db_error, db::Db},
};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Any number that nobody else is likely to lock: "authy" in ASCII.
pub(in crate::engine) const MIGRATION_LOCK: i64 = 0x61_75_74_68_79;

/// What a migration did.
#[derive(Clone, Debug)]
pub struct MigrationReport {
    /// The names of the migrations that were applied, in order; none when the schema was up to date.
    pub applied: Vec<String>,
    /// The version of the schema now.
    pub version: u32,
}

/// An index of a large table. A migration is a transaction, and in one it would be built with everybody kept from writing; so it
/// is built before, beside the writers, and the migration finds it there (`IF NOT EXISTS`).
struct LargeIndex {
    /// The migration that it belongs to.
    version: i64,
    name: &'static str,
    /// What is indexed, after the name.
    definition: &'static str,
    is_unique: bool,
}

const LARGE_INDEXES: &[LargeIndex] = &[LargeIndex {
    version: 20,
    name: "users_email_owner",
    definition: "ON authy.users (email_key, (CASE WHEN validated_at IS NULL THEN public_id
                 ELSE '00000000-0000-0000-0000-000000000000' END))",
    is_unique: true,
}];

/// How often it is tried to get the lock. Who waits in the database holds a snapshot, and an index that is built beside writers
/// waits for every older snapshot: both would wait for ever.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Applies what is missing, under a lock that is held by a transaction on a connection of its own, so that several
/// instances may start at once.
pub(in crate::engine) async fn migrate(db: &Db) -> Result<MigrationReport> {
    let mut guard = db.connect().await?;
    // Between its statements it holds no snapshot, for the same reason: whatever the default of the database is, and by the simple
    // protocol, because a portal of the other keeps its snapshot until the next one.
    let lock =
        guard.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await.map_err(db_error)?;
    let try_lock = format!("SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK})");
    loop {
        let answered = lock.simple_query(&try_lock).await.map_err(db_error)?;
        let is_locked = |message: &_| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"));
        if answered.iter().any(is_locked) {
            break;
        }
        sleep(TRY_AGAIN).await;
    }
    let mut client = db.connect().await?;
    let report = apply(&mut client).await;
    drop(lock);
    report
}

async fn apply(client: &mut Client) -> Result<MigrationReport> {
    // Asked before it is created: CREATE SCHEMA wants the right to create even when there is nothing to create.
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
                "the database schema is newer than this program: install the version that made it, or a later one",
            ));
        }
        for index in LARGE_INDEXES.iter().filter(|index| applied > 0 && index.version > applied) {
            index.build(client).await.map_err(db_error)?;
        }
    }
    let report = runner.run_async(client).await.map_err(|cause| {
        Error::with_source(ErrorKind::Internal, "the database schema cannot be brought up to date", cause)
    })?;
    Ok(MigrationReport {
        applied: report.applied_migrations().iter().map(ToString::to_string).collect(),
        version: u32::try_from(newest).unwrap_or_default(),
    })
}

impl LargeIndex {
    async fn build(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let Self { name, definition, is_unique, .. } = self;
        // What an attempt left that did not come to its end is no index.
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
