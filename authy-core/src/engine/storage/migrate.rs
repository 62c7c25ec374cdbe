//! Migrates the schema, one instance at a time.

use std::{error::Error as _, iter::successors};

use refinery_core::traits::r#async::AsyncTransaction as _;
use tokio_postgres::{Client, types::Type};

use crate::{
    Error, ErrorKind, Result,
    engine::storage::{
        connector::{db_error, describe},
        db::Db,
        requirements::check_requirements,
    },
};

mod guarded;
mod lock;

use guarded::Guarded;

mod embedded {
    refinery::embed_migrations!("migrations");
}

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
    LargeIndex {
        version: 32,
        name: "user_role_by_grant",
        definition: "ON authy.user_role (role_id, granted, user_id)",
        is_unique: false,
    },
    LargeIndex {
        version: 33,
        name: "delivery_failed",
        definition: "ON authy.delivery (subject) WHERE error IS NOT NULL AND state <> 'delivered'",
        is_unique: false,
    },
    LargeIndex {
        version: 37,
        name: "delivery_repeated",
        definition: "ON authy.delivery (sink, happened, event_id) WHERE state = 'waiting' AND attempts > 0",
        is_unique: false,
    },
    LargeIndex {
        version: 37,
        name: "delivery_given_up",
        definition: "ON authy.delivery (sink, happened, event_id) WHERE state = 'given_up'",
        is_unique: false,
    },
];

/// An index of the audit trail, which is partitioned: no index of a partitioned table can be built concurrently. So the
/// index of each partition is built before, and the migration adopts those with the same definition.
struct PartitionIndex {
    version: i64,
    /// The name that the migration gives it. That of a partition begins with the partition's.
    name: &'static str,
    /// The rest of the definition, after the table.
    definition: &'static str,
}

const PARTITION_INDEXES: &[PartitionIndex] = &[PartitionIndex {
    version: 33,
    name: "event_by_kind",
    definition: "(kind, happened, event_id) WHERE kind <> 'session.opened' AND kind <> 'session.refreshed'",
}];

/// Applies pending migrations. A transaction on a separate connection holds the lock, so that several instances can
/// start at the same time.
pub(in crate::engine) async fn migrate(db: &Db) -> Result<MigrationReport> {
    let (mut client, guard) = (db.connect().await?, db.connect().await?);
    check_requirements(&client).await?;
    lock::take(&guard).await.map_err(db_error)?;
    let report = apply(&mut Guarded { client: &mut client, guard: &guard }, db.shares_sessions()).await;
    // When it fails, the connection has ended, and the lock with it.
    let _ = lock::release(&guard).await;
    report
}

/// Returns the version of the schema that this program creates.
pub(in crate::engine) fn newest_version() -> u32 {
    let versions = embedded::migrations::runner();
    let newest = versions.get_migrations().iter().map(|migration| migration.version()).max();
    newest.and_then(|version| u32::try_from(version).ok()).unwrap_or_default()
}

/// Checks that the schema is the one of this program, for a program that must not change that of the servers. Creates the schema of
/// a new database.
pub(in crate::engine) async fn require_schema(db: &Db) -> Result<()> {
    let client = db.connect().await?;
    check_requirements(&client).await?;
    match applied_version(&client).await? {
        None | Some(0) => migrate(db).await.map(drop),
        Some(version) if version < i64::from(newest_version()) => Err(Error::new(
            ErrorKind::InvalidInput,
            "the schema of the database is older than this program: upgrade the servers first, or run `authy-server migrate`",
        )),
        // One that is newer is refused by its statements, if they do not fit.
        Some(_) => Ok(()),
    }
}

/// Returns the version of the schema; `None` when there is none.
async fn applied_version(client: &Client) -> Result<Option<i64>> {
    let table = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = 'authy' AND tablename = 'migration'";
    if !has_row(client, table).await? {
        return Ok(None);
    }
    let query = "SELECT coalesce(max(version), 0)::bigint FROM authy.migration";
    Ok(Some(client.query_typed_one(query, &[]).await.map_err(db_error)?.get(0)))
}

async fn apply(guarded: &mut Guarded<'_>, shares_sessions: bool) -> Result<MigrationReport> {
    // Checked first: CREATE SCHEMA requires the permission to create even when the schema exists.
    if !has_row(guarded.client, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'authy'").await? {
        guarded.execute(["CREATE SCHEMA authy"].into_iter()).await.map_err(db_error)?;
    }
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name("authy.migration");
    let newest = i64::from(newest_version());
    if let Some(applied) = applied_version(guarded.client).await? {
        if applied > newest {
            tracing::error!(database = applied, program = newest, "the database schema is newer than this program");
            return Err(Error::new(
                ErrorKind::Internal,
                "the database schema is newer than this program: install the version that created it, or a later one",
            ));
        }
        for index in LARGE_INDEXES.iter().filter(|index| applied > 0 && index.version > applied) {
            index.build(guarded.client, shares_sessions).await?;
        }
        for index in PARTITION_INDEXES.iter().filter(|index| applied > 0 && index.version > applied) {
            index.build(guarded.client, shares_sessions).await?;
        }
    }
    let report = runner.run_async(guarded).await.map_err(|cause| {
        let causes = successors(cause.source(), |cause| (*cause).source());
        let found = causes.filter_map(|cause| cause.downcast_ref::<tokio_postgres::Error>()).map(describe).next();
        match found {
            Some((ErrorKind::Unavailable, detail)) => Error::with_source(ErrorKind::Unavailable, detail, cause),
            _ => Error::with_source(ErrorKind::Internal, "the database schema cannot be brought up to date", cause),
        }
    })?;
    Ok(MigrationReport {
        applied: report.applied_migrations().iter().map(ToString::to_string).collect(),
        version: newest_version(),
    })
}

async fn has_row(client: &Client, query: &str) -> Result<bool> {
    Ok(!client.query_typed(query, &[]).await.map_err(db_error)?.is_empty())
}

impl LargeIndex {
    async fn build(&self, client: &Client, shares_sessions: bool) -> Result<()> {
        build(client, shares_sessions, self.name, self.definition, self.is_unique).await
    }
}

impl PartitionIndex {
    async fn build(&self, client: &Client, shares_sessions: bool) -> Result<()> {
        let partitions =
            "SELECT relname::text FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class ON pg_class.oid = inhrelid
                          WHERE inhparent = 'authy.event'::regclass ORDER BY relname";
        for row in client.query_typed(partitions, &[]).await.map_err(db_error)? {
            let partition: &str = row.get(0);
            // The partitions are named by this program, in letters that need no quotes.
            let name = format!("{partition}_{}", self.name);
            let definition = format!("ON authy.{partition} {}", self.definition);
            build(client, shares_sessions, &name, &definition, false).await?;
        }
        Ok(())
    }
}

/// Builds an index without blocking writes, unless it exists.
async fn build(client: &Client, shares_sessions: bool, name: &str, definition: &str, is_unique: bool) -> Result<()> {
    if shares_sessions {
        // It cannot run in a transaction, which could have settings of its own.
        return create(client, name, definition, is_unique).await.map_err(|cause| {
            Error::with_source(
                ErrorKind::Internal,
                "an index cannot be built behind a pooler in transaction mode, where the time limits of the role \
                 apply: migrate once with a database URL that leads to PostgreSQL itself",
                cause,
            )
        });
    }
    let no_limits = "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0";
    client.batch_execute(no_limits).await.map_err(db_error)?;
    create(client, name, definition, is_unique).await.map_err(db_error)
}

async fn create(client: &Client, name: &str, definition: &str, is_unique: bool) -> Result<(), tokio_postgres::Error> {
    // An interrupted attempt leaves an invalid index.
    let broken = "SELECT 1 FROM pg_catalog.pg_index JOIN pg_catalog.pg_class ON pg_class.oid = indexrelid
                  WHERE relnamespace = 'authy'::regnamespace AND relname = $1 AND NOT indisvalid";
    if !client.query_typed(broken, &[(&name, Type::TEXT)]).await?.is_empty() {
        client.batch_execute(&format!("DROP INDEX CONCURRENTLY authy.{name}")).await?;
    }
    tracing::info!(index = name, "building an index without blocking writes: this may take minutes");
    let unique = if is_unique { "UNIQUE" } else { "" };
    client.batch_execute(&format!("CREATE {unique} INDEX CONCURRENTLY IF NOT EXISTS {name} {definition}")).await
}
