//! Brings the schema up to date, one instance at a time.

use tokio_postgres::Client;

use super::db::{Db, db_error};
use crate::{Error, ErrorKind, Result};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Any number that nobody else is likely to lock: "authy" in ASCII.
pub(super) const MIGRATION_LOCK: i64 = 0x61_75_74_68_79;

/// What a migration did.
#[derive(Clone, Debug)]
pub struct MigrationReport {
    /// The names of the migrations that were applied, in order; none when the schema was up to date.
    pub applied: Vec<String>,
    /// The version of the schema now.
    pub version: u32,
}

/// Applies what is missing, under a lock that is held by a transaction on a connection of its own, so that several
/// instances may start at once.
pub(super) async fn migrate(db: &Db) -> Result<MigrationReport> {
    let mut guard = db.connect().await?;
    let lock = guard.transaction().await.map_err(db_error)?;
    lock.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await.map_err(db_error)?;
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
    }
    let report = runner.run_async(client).await.map_err(|cause| {
        Error::with_source(ErrorKind::Internal, "the database schema cannot be brought up to date", cause)
    })?;
    Ok(MigrationReport {
        applied: report.applied_migrations().iter().map(ToString::to_string).collect(),
        version: u32::try_from(newest).unwrap_or_default(),
    })
}
