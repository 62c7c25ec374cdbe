//! The connection that migrates, and its transactions.

use std::time::SystemTime;

use chrono::DateTime;
use refinery::{AsyncMigrate, Migration};
use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use tokio_postgres::{Client, Error, IsolationLevel, Row};

use super::lock::NO_LIMITS;
use crate::engine::storage::session::SET_LOCAL;

/// A connection that migrates while a transaction on another one holds the lock.
pub(super) struct Guarded<'a> {
    pub(super) client: &'a mut Client,
    pub(super) guard: &'a Client,
}

impl AsyncTransaction for Guarded<'_> {
    type Error = Error;

    /// Executes the statements in a transaction. They rely on its settings, as those of every other transaction do.
    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(&'a mut self, statements: T) -> Result<usize, Error> {
        let begin = self.client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(false);
        let transaction = begin.start().await?;
        transaction.batch_execute(&format!("{SET_LOCAL}; {NO_LIMITS}")).await?;
        let mut count = 0;
        for statement in statements {
            transaction.batch_execute(statement).await?;
            count += 1;
        }
        // Without the lock, another instance may have begun to migrate.
        self.guard.batch_execute("").await?;
        transaction.commit().await?;
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for Guarded<'_> {
    /// Reads the applied migrations without a prepared statement: behind a pooler in transaction mode another program may have
    /// left one with the same name in the session.
    async fn query(&mut self, query: &str) -> Result<Vec<Migration>, Error> {
        self.client.query_typed(query, &[]).await?.iter().map(applied).collect()
    }
}

/// Returns the migration of a row, all of whose columns but the first are texts.
fn applied(row: &Row) -> Result<Migration, Error> {
    let (applied_on, checksum): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
    // Only for reports.
    let applied_on = DateTime::parse_from_rfc3339(applied_on).map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
    // One that is no number differs from that of every migration, which refinery then says.
    let checksum = checksum.parse().unwrap_or_default();
    Ok(Migration::applied(row.try_get(0)?, row.try_get(1)?, applied_on.into(), checksum))
}

impl AsyncMigrate for Guarded<'_> {}
