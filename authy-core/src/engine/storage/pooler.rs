//! Whether connections have a session each.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};

use super::{announced::announced_backend, session};
use crate::invalid::Invalid;

/// Whether there is a connection pooler, such as PgBouncer, between the engine and PostgreSQL.
///
/// A pooler in transaction mode lends a connection to PostgreSQL for one transaction. Nothing that belongs to a session survives:
/// prepared statements, settings, `LISTEN`. The engine then uses none of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// Finds out, with every new connection. PostgreSQL announces the process that serves a connection, and a pooler announces
    /// something else. The mode of a pooler cannot be found out, so the engine assumes [`Transaction`](Self::Transaction), which
    /// works in session mode, too.
    #[default]
    Auto,
    /// Every connection has a session: there is no pooler, or it is in session mode. Behind a pooler no statement is prepared under a
    /// name all the same, and the engine assumes [`Transaction`](Self::Transaction) when a new connection has the session of another.
    Session,
    /// There is a pooler in transaction mode.
    Transaction,
}

impl Pooler {
    /// Returns the name: `auto`, `session` or `transaction`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Session => "session",
            Self::Transaction => "transaction",
        }
    }
}

impl fmt::Display for Pooler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Pooler {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        [Self::Auto, Self::Session, Self::Transaction]
            .into_iter()
            .find(|pooler| pooler.as_str() == text)
            .ok_or(Invalid::new("unknown_pooler", "must be auto, session or transaction"))
    }
}

/// What is known about the sessions of the connections to one database.
pub(in crate::engine) struct Sessions {
    pooler: Pooler,
    are_shared: AtomicBool,
    has_pooler: AtomicBool,
}

impl Sessions {
    pub(in crate::engine) fn new(pooler: Pooler) -> Self {
        let is_shared = pooler == Pooler::Transaction;
        Self { pooler, are_shared: AtomicBool::new(is_shared), has_pooler: AtomicBool::new(is_shared) }
    }

    /// Returns whether the next statement of a connection may run in another session.
    pub(in crate::engine) fn are_shared(&self) -> bool {
        self.are_shared.load(Ordering::Relaxed)
    }

    /// Returns whether statements may be prepared under a name. Not when there is a pooler, whatever its mode is said to be: every
    /// program numbers its statements from zero, and in transaction mode the wrong one would run where another program has prepared
    /// one of the same name.
    pub(super) fn have_names(&self) -> bool {
        !self.has_pooler.load(Ordering::Relaxed)
    }

    /// Begins a new connection: sets what every statement relies on, if it has a session. Returns when the server has answered.
    pub(super) async fn begin(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        if self.are_shared() {
            return client.batch_execute("").await;
        }
        let backend = announced_backend(client).await.unwrap_or_default();
        // One round trip, and no setting is left behind in a session that others use.
        let begin = match self.pooler {
            Pooler::Session => session::set_in_own(backend),
            Pooler::Auto | Pooler::Transaction => session::set_in_announced(backend),
        };
        let answered = client.simple_query(&begin).await?;
        let has = |column| answered.iter().any(|message| is_row_with(message, column));
        if has(session::POOLER) && !self.has_pooler.swap(true, Ordering::Relaxed) {
            tracing::info!("a connection pooler is in front of the database: no statement is prepared under a name");
        }
        if has(session::SHARED) {
            self.share("the session of a new connection is in use by another one: the pooler is not in session mode");
        } else if !has(session::SET) {
            self.share("a connection pooler is in front of the database");
        }
        Ok(())
    }

    /// Returns whether an error shows that connections have no session: a prepared statement is missing, or another program has
    /// one of the same name. The statement was not executed. From now on nothing relies on sessions.
    pub(super) fn are_lost(&self, error: &tokio_postgres::Error) -> bool {
        let lost = [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT];
        let is_lost = error.code().is_some_and(|code| lost.contains(code));
        if is_lost {
            self.share(
                "a prepared statement was lost: a connection pooler in transaction mode is in front of the database",
            );
        }
        is_lost
    }

    fn share(&self, reason: &'static str) {
        self.has_pooler.store(true, Ordering::Relaxed);
        if !self.are_shared.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{reason}: from now on nothing relies on sessions, which is slower. Set AUTHY_DATABASE_POOLER=transaction \
                 (Config::pooler), or session when the pooler is in session mode"
            );
        }
    }
}

/// Returns whether this is a row whose first column has this name.
fn is_row_with(message: &SimpleQueryMessage, column: &str) -> bool {
    matches!(message, SimpleQueryMessage::Row(row) if row.columns().first().is_some_and(|first| first.name() == column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_is_named_as_it_is_read() {
        for pooler in [Pooler::Auto, Pooler::Session, Pooler::Transaction] {
            assert_eq!(pooler.to_string().parse(), Ok(pooler));
        }
        assert!("statement".parse::<Pooler>().is_err());
    }
}
