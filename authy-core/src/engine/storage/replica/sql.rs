//! The statements about positions in the write-ahead log.

use crate::engine::storage::statement::statements;

statements! {
    /// Where a primary is: its cluster, its timeline, and the bytes that it has written. NULL when it is a standby.
    PRIMARY_POSITION() =
        "SELECT (SELECT system_identifier FROM pg_control_system()) AS cluster,
                CASE WHEN NOT pg_is_in_recovery()
                     THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int8 END AS timeline,
                CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_lsn() - '0/0')::int8 END AS bytes";

    /// How far a standby has replayed the log of its cluster. NULL when it is a primary.
    ///
    /// After a failover a standby says so late, with its next restartpoint, at most a `checkpoint_timeout` afterwards: what it
    /// says at once is only for superusers.
    STANDBY_POSITION() =
        "SELECT (SELECT system_identifier FROM pg_control_system()) AS cluster,
                CASE WHEN pg_is_in_recovery() THEN greatest(
                    (SELECT timeline_id FROM pg_control_checkpoint()),
                    (SELECT min_recovery_end_timeline FROM pg_control_recovery()))::int8 END AS timeline,
                CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::int8 END AS bytes";
}
