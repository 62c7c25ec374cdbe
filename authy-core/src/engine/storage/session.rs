//! The settings that every statement relies on, whatever the defaults of the database and its role are.
//!
//! A connection gets them for its session, when it is opened. Behind a pooler in transaction mode each transaction gets them.

use futures_util::FutureExt as _;
use tokio_postgres::Transaction;

/// What the transaction of a statement on its own may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum TransactionAccess {
    /// A server that takes no writes refuses it.
    ReadWrite,
    /// On a standby.
    ReadOnly,
}

/// The name and the value of each:
///
/// - A write must see what the previous holder of a lock has committed, and a single-statement write has no transaction that could
///   say so. A commit that was reported must survive a crash; `remote_apply` waits even longer.
/// - Built-in functions come first in the search path. The rest of it belongs to the embedding program.
/// - Times are sent as text and read again, where they can be infinite: abbreviations of time zones are ambiguous.
/// - A statement that waits for a lock longer than its caller only holds a connection. No read needs as long as `statement_timeout`;
///   what needs longer sets its own limit.
/// - To compile a statement takes longer than any of ours runs, and the planner decides by an estimate, which is far too high where
///   it knows little of a table.
/// - The lock of a migration or a sink is a transaction that stays open, and a connection of the pool may be idle for long.
///
/// Newer settings do not exist in every version of PostgreSQL.
const SETTINGS: &str = "
    ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'),
    ('default_transaction_deferrable', 'off'), ('synchronous_commit', 'on'),
    ('search_path', 'pg_catalog, ' || pg_catalog.current_setting('search_path')), ('standard_conforming_strings', 'on'),
    ('DateStyle', 'ISO'), ('TimeZone', 'UTC'), ('jit', 'off'),
    ('statement_timeout', '60s'), ('lock_timeout', '3s'), ('idle_session_timeout', '0'), ('transaction_timeout', '0')";

/// Sets the same for a transaction, after it has begun. Utility statements, because they need no snapshot and no plan.
pub(in crate::engine) const SET_LOCAL: &str = "
    SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog; SET LOCAL standard_conforming_strings = on;
    SET LOCAL DateStyle = ISO; SET LOCAL TimeZone = 'UTC'; SET LOCAL jit = off;
    SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '3s'";

/// Names the rows of the following queries, one for each setting that was set.
pub(super) const SET: &str = "set_config";

/// Names a row that says that the server process is not the one that was announced.
pub(super) const POOLER: &str = "has_pooler";

/// Names a row that says that another connection has begun in the same session.
pub(super) const SHARED: &str = "is_shared";

/// Returns the query that sets them for a session, if it is that of the process that was announced. It returns rows when it has
/// set them.
pub(super) fn set_in_announced(backend: i32) -> String {
    set(&format!("pg_catalog.pg_backend_pid() = {backend}"))
}

/// Returns the query that sets them for a session that a pooler keeps for the connection. It also returns whether there is a pooler,
/// and whether the session is another connection's: in session mode a pooler resets it before the next one gets it.
pub(super) fn set_in_own(backend: i32) -> String {
    const MARK: &str = "authy.has_connection";
    let has_pooler = format!("pg_catalog.pg_backend_pid() <> {backend}");
    let is_marked = format!("pg_catalog.current_setting('{MARK}', true) = 'yes'");
    let set = set(&format!("({is_marked}) IS NOT TRUE"));
    // In one message, which is one transaction and so one session.
    format!(
        "SELECT true AS {POOLER} WHERE {has_pooler};
         SELECT true AS {SHARED} WHERE {has_pooler} AND {is_marked};
         {set};
         SELECT pg_catalog.set_config('{MARK}', 'yes', false) AS marked WHERE {has_pooler}"
    )
}

fn set(is_own: &str) -> String {
    // A search path that does not name `pg_catalog` begins with it, and stays as the embedding program knows it.
    format!(
        "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES {SETTINGS}) AS wanted (name, value)
         WHERE {is_own} AND pg_catalog.current_setting(name, true) IS NOT NULL
           AND (name <> 'search_path' OR pg_catalog.current_setting(name) LIKE '%pg_catalog%')
           AND (name <> 'synchronous_commit' OR pg_catalog.current_setting(name) <> 'remote_apply')"
    )
}

/// Sets them for a transaction. Sent with the next statement and not awaited: when it fails, so does the transaction.
pub(in crate::engine) fn set_local(transaction: &Transaction<'_>) {
    let _ = transaction.batch_execute(SET_LOCAL).now_or_never();
}
