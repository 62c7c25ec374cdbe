//! The statements about positions in the write-ahead log.

use crate::engine::storage::statement::statements;

statements! {
    /// Where a primary is: its timeline, and the bytes that it has written. No timeline when it is a standby.
    PRIMARY_POSITION() =
        "SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
                CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_lsn() - '0/0')::bigint END AS bytes";

    /// The bytes that a standby has replayed; NULL when it is none.
    REPLAYED() =
        "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END AS bytes";
}
