//! SQL with a name, an owner and a test: every statement is declared in its noun's `sql.rs`, and all of them are PREPAREd
//! against the live schema at start and in the tests.

use std::time::Duration;

use tokio_postgres::{
    Client, Row, Transaction,
    types::{ToSql, Type},
};

use super::{
    actor, code,
    db::{Params, bounded_by, db_error},
    event, fault, feed, key, relay, role, session, throttle, upkeep, user,
};
use crate::Result;

/// One SQL statement.
pub(super) struct Statement {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
    pub(super) types: &'static [Type],
}

/// Every statement of the crate.
fn all() -> impl Iterator<Item = &'static Statement> {
    [
        actor::sql::ALL,
        user::sql::ALL,
        role::sql::ALL,
        session::sql::ALL,
        code::sql::ALL,
        key::sql::ALL,
        event::sql::ALL,
        feed::sql::ALL,
        relay::sql::ALL,
        throttle::sql::ALL,
        upkeep::sql::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// PREPAREs every statement.
///
/// # Errors
/// The first statement that does not fit the schema.
pub(super) async fn check(client: &Client) -> Result<usize> {
    let mut count = 0;
    for statement in all() {
        client.prepare_typed(statement.sql, statement.types).await.map_err(|cause| {
            tracing::error!(statement = statement.name, error = %cause, "a statement does not fit the schema");
            db_error(cause)
        })?;
        count += 1;
    }
    Ok(count)
}

/// In a transaction a statement is sent unnamed, with its types: one round trip, and nothing that must survive on the
/// connection, so that a pooler in transaction mode may stand in between.
impl Statement {
    pub(super) async fn rows(&self, tx: &Transaction<'_>, params: Params<'_>) -> Result<Vec<Row>> {
        fault::around(self.name, tx.query_typed(self.sql, &self.typed(params))).await.map_err(db_error)
    }

    pub(super) async fn row(&self, tx: &Transaction<'_>, params: Params<'_>) -> Result<Option<Row>> {
        Ok(self.rows(tx, params).await?.into_iter().next())
    }

    /// Runs it; the number of rows it changed. The caller decides what a violated constraint means.
    pub(super) async fn execute(&self, tx: &Transaction<'_>, params: Params<'_>) -> Result<u64, tokio_postgres::Error> {
        fault::around(self.name, tx.execute_typed(self.sql, &self.typed(params))).await
    }

    /// The same outside of a transaction, on a connection of one's own, in so much time.
    pub(super) async fn ask(&self, client: &Client, patience: Duration, params: Params<'_>) -> Result<Vec<Row>> {
        bounded_by(patience, fault::around(self.name, client.query_typed(self.sql, &self.typed(params)))).await
    }

    fn typed<'a>(&self, params: Params<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
        params.iter().copied().zip(self.types.iter().cloned()).collect()
    }
}

/// Declares the statements of a noun, and the list of them.
macro_rules! statements {
    ($($(#[doc = $doc:literal])+ $name:ident($($type:ident),*) = $sql:expr;)+) => {
        $(
            $(#[doc = $doc])+
            pub(in crate::engine) static $name: $crate::engine::statements::Statement =
                $crate::engine::statements::Statement {
                    name: concat!(module_path!(), "::", stringify!($name)),
                    sql: $sql,
                    types: &[$(tokio_postgres::types::Type::$type),*],
                };
        )+

        pub(in crate::engine) static ALL: &[&$crate::engine::statements::Statement] = &[$(&$name),+];
    };
}

pub(super) use statements;
