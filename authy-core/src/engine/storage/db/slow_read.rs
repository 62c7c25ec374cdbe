//! Reads that may be slow: lists, counts, and estimates.

use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Object;
use futures_util::FutureExt as _;
use tokio::time::timeout;
use tokio_postgres::{IsolationLevel, Row};

use super::{Db, only};
use crate::{
    Error, Result,
    engine::storage::{
        connector::{ANSWER_TIMEOUT, db_error, not_in_time},
        statement::{Params, Statement},
    },
};

/// Maximum time of a read that may be slow: that of its statement, and of the round trips around it.
const LIST_TIMEOUT: Duration = Duration::from_secs(ANSWER_TIMEOUT.as_secs() + 2);

/// What is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::storage) enum SlowRead {
    /// The rows of the statement.
    Rows,
    /// The plan of the statement, which is not executed.
    Plan,
}

/// What has to hold of a server in the transaction of a read, or the read is not made.
pub(in crate::engine::storage) struct Condition<'a> {
    /// A statement with one row.
    pub(in crate::engine::storage) statement: &'static Statement,
    /// Accepts the row.
    pub(in crate::engine::storage) accept: &'a (dyn Fn(&Row) -> Result<()> + Send + Sync),
}

/// Where reads come from that may miss what was written in the last seconds.
#[async_trait]
pub(in crate::engine::storage) trait LaggingReads: Send + Sync + 'static {
    /// Reads, unless this is too far behind or does not answer.
    async fn read(&self, read: SlowRead, statement: &'static Statement, params: Params<'_>) -> Option<Vec<Row>>;

    /// Watches how far this is behind the primary. Never returns.
    async fn follow(&self, primary: &Db);
}

impl Db {
    /// Returns the rows of a read that may be slow. It runs on a dedicated connection, and the database aborts it when
    /// its caller has gone.
    pub(in crate::engine) async fn list(&self, statement: &'static Statement, params: Params<'_>) -> Result<Vec<Row>> {
        self.read_slowly(None, SlowRead::Rows, statement, params).await
    }

    /// Returns the rows of a read that may be slow, and may miss what was written in the last seconds: from the replica,
    /// when there is one that is up to date.
    pub(in crate::engine) async fn list_lagging(
        &self,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        self.read_lagging(SlowRead::Rows, statement, params).await
    }

    /// Returns the only row of a read that may be slow, and may miss what was written in the last seconds.
    pub(in crate::engine) async fn count_lagging(
        &self,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Row> {
        only(self.list_lagging(statement, params).await?.into_iter().next())
    }

    /// Returns how many rows a statement would return, as the planner estimates it from the statistics of the tables. It
    /// takes no longer than planning.
    pub(in crate::engine) async fn estimate_lagging(
        &self,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<i64> {
        let rows = self.read_lagging(SlowRead::Plan, statement, params).await?;
        let plan: serde_json::Value = only(rows.into_iter().next())?.get(0);
        let rows = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_f64).unwrap_or_default();
        // Saturates: an estimate is never negative, and may be larger than the type.
        #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
        Ok(rows.max(0.0) as i64)
    }

    async fn read_lagging(
        &self,
        read: SlowRead,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        if let Some(source) = &self.lagging
            && let Some(rows) = source.read(read, statement, params).await
        {
            return Ok(rows);
        }
        self.read_slowly(None, read, statement, params).await
    }

    /// Reads on a connection of the pool, if the condition holds.
    pub(in crate::engine::storage) async fn read_slowly(
        &self,
        condition: Option<&Condition<'_>>,
        read: SlowRead,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        let generation = self.generation();
        let listed = self.try_read(condition, read, statement, params).await;
        listed.inspect_err(|error| self.leave_if_demoted(generation, error))
    }

    async fn try_read(
        &self,
        condition: Option<&Condition<'_>>,
        read: SlowRead,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        let mut connection = self.connection().await?;
        let listed = timeout(LIST_TIMEOUT, self.read_on(&mut connection, condition, read, statement, params)).await;
        let listed = listed.unwrap_or_else(|_| Err(not_in_time()));
        if listed.as_ref().is_err_and(Error::is_unavailable) {
            // The connection may still be waiting for its answer: it must not be reused.
            drop(Object::take(connection));
        }
        listed
    }

    async fn read_on(
        &self,
        connection: &mut Object,
        condition: Option<&Condition<'_>>,
        read: SlowRead,
        statement: &'static Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        let begin = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(true);
        let tx = begin.start().await.map_err(db_error)?;
        self.set_local(&tx);
        let limit = format!("SET LOCAL statement_timeout = {}", ANSWER_TIMEOUT.as_millis());
        let _ = tx.batch_execute(&limit).now_or_never();
        if let Some(condition) = condition {
            (condition.accept)(&only(condition.statement.row(&tx, &[]).await?)?)?;
        }
        let rows = match read {
            SlowRead::Rows => statement.rows(&tx, params).await?,
            SlowRead::Plan => statement.plan(&tx, params).await?,
        };
        tx.commit().await.map_err(db_error)?;
        Ok(rows)
    }
}
