//! SQL statements with a name, an owner and a test: each is declared in the `sql.rs` of its subject, and
//! [`check`](crate::engine::check) prepares all of them against the live schema at start and in the tests.

use futures_util::future::join3;
use tokio_postgres::{
    Client, Row, Transaction,
    types::{ToSql, Type},
};

use crate::{
    Result,
    engine::storage::{connector::db_error, fault, session::SET_LOCAL},
};

/// The parameters of a statement.
pub(in crate::engine) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// An SQL statement.
pub(in crate::engine) struct Statement {
    pub(in crate::engine) name: &'static str,
    pub(in crate::engine) sql: &'static str,
    pub(in crate::engine) types: &'static [Type],
}

/// What the transaction of a statement [on its own](Statement::run_alone) may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum TransactionAccess {
    /// A server that takes no writes refuses it.
    ReadWrite,
    /// On a standby.
    ReadOnly,
}

/// In a transaction, a statement is sent unnamed, with its types: one round trip, and no state that must survive on the
/// connection, so that a pooler in transaction mode can be in between.
impl Statement {
    pub(in crate::engine) async fn rows(&self, tx: &Transaction<'_>, params: Params<'_>) -> Result<Vec<Row>> {
        fault::around(self.name, tx.query_typed(self.sql, &self.typed(params))).await.map_err(db_error)
    }

    pub(in crate::engine) async fn row(&self, tx: &Transaction<'_>, params: Params<'_>) -> Result<Option<Row>> {
        Ok(self.rows(tx, params).await?.into_iter().next())
    }

    /// Returns the planner's plan of the statement, with these parameters, as a JSON value. It is not executed.
    pub(in crate::engine) async fn plan(&self, tx: &Transaction<'_>, params: Params<'_>) -> Result<Vec<Row>> {
        let explain = format!("EXPLAIN (FORMAT JSON) {}", self.sql);
        tx.query_typed(&explain, &self.typed(params)).await.map_err(db_error)
    }

    /// Executes the statement. Returns the number of affected rows. The caller interprets a violated constraint.
    pub(in crate::engine) async fn execute(
        &self,
        tx: &Transaction<'_>,
        params: Params<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        fault::around(self.name, tx.execute_typed(self.sql, &self.typed(params))).await
    }

    /// Runs the statement in a transaction of its own, which sets everything that it relies on, and more settings if there are any.
    ///
    /// Everything is sent at once. So it takes one round trip, and the transaction ends even when the caller does not wait for it.
    /// Two tasks must not do this on one connection at the same time: what they send could be mixed.
    pub(in crate::engine) async fn run_alone(
        &self,
        client: &Client,
        access: TransactionAccess,
        params: Params<'_>,
        more_settings: &str,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let work = async {
            let access = match access {
                TransactionAccess::ReadWrite => "READ WRITE",
                TransactionAccess::ReadOnly => "READ ONLY",
            };
            let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED, {access}; {SET_LOCAL}; {more_settings}");
            let typed = self.typed(params);
            // Polled in this order, so they are sent in this order.
            let (begun, rows, committed) = join3(
                client.batch_execute(&begin),
                client.query_typed(self.sql, &typed),
                client.batch_execute("COMMIT"),
            )
            .await;
            // Without its transaction, the statement was executed all the same, but not as it has to be.
            begun?;
            let rows = rows?;
            committed.map(|()| rows)
        };
        fault::around(self.name, work).await
    }

    /// Runs the statement without naming it on the server, on a connection that has a session.
    pub(in crate::engine) async fn run_unnamed(
        &self,
        client: &Client,
        params: Params<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        client.query_typed(self.sql, &self.typed(params)).await
    }

    fn typed<'a>(&self, params: Params<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
        params.iter().copied().zip(self.types.iter().cloned()).collect()
    }
}

/// Declares the statements of a subject, and the list of them.
macro_rules! statements {
    ($($(#[doc = $doc:literal])+ $name:ident($($type:ident),*) = $sql:expr;)+) => {
        $(
            $(#[doc = $doc])+
            pub(in crate::engine) static $name: $crate::engine::storage::statement::Statement =
                $crate::engine::storage::statement::Statement {
                    name: concat!(module_path!(), "::", stringify!($name)),
                    sql: $sql,
                    types: &[$(tokio_postgres::types::Type::$type),*],
                };
        )+

        pub(in crate::engine) static ALL: &[&$crate::engine::storage::statement::Statement] = &[$(&$name),+];
    };
}

pub(in crate::engine) use statements;
