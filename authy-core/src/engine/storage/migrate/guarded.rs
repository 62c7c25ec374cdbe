//! The connection that migrates, and its transactions.

use refinery::{AsyncMigrate, Migration};
use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use tokio_postgres::{Client, Error, IsolationLevel};

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
    async fn query(&mut self, query: &str) -> Result<Vec<Migration>, Error> {
        AsyncQuery::query(self.client, query).await
    }
}

impl AsyncMigrate for Guarded<'_> {}
