//! The statements of a change of an account.

use crate::engine::storage::statement::statements;

/// The next epoch of a user. After a failover or a restore (on a later timeline) it is at least the time in seconds: epochs
/// may have been lost, and a lost one must not begin again, because its tokens may have been revoked by another lost one.
macro_rules! next_epoch {
    () => {
        "greatest(ver + 1, CASE WHEN left(pg_walfile_name(pg_current_wal_lsn()), 8) <> '00000001'
                                THEN extract(epoch FROM clock_timestamp())::bigint END)"
    };
}

pub(in crate::engine) use next_epoch;

/// Keeps everybody else from changing users and sessions, and from logging in, until the transaction ends. PostgreSQL does not prepare
/// it, so it is none of the statements.
pub(in crate::engine) const LOCK_EVERYONE: &str = "LOCK TABLE authy.users, authy.session IN EXCLUSIVE MODE";

statements! {
    /// Begins a new epoch: all older tokens of the user are revoked.
    BEGIN_EPOCH(UUID) = concat!(
        "UPDATE authy.users SET ver = ", next_epoch!(), " WHERE public_id = $1 RETURNING ver"
    );

    /// Begins a new epoch of every user, which is at least the time in seconds: in a restored copy of the database, epochs
    /// may have been lost although its timeline is the first.
    BEGIN_ALL_EPOCHS() =
        "UPDATE authy.users SET ver = greatest(ver + 1, extract(epoch FROM clock_timestamp())::bigint)";

    /// Ends all sessions.
    END_EVERYONE() = "UPDATE authy.session SET ended_at = now() WHERE ended_at IS NULL";

    /// Ends all sessions of a user except one.
    END_OTHERS(UUID, UUID) =
        "UPDATE authy.session SET ended_at = now()
         WHERE user_id = $1 AND session_id <> $2 AND ended_at IS NULL RETURNING session_id";

    /// Ends all sessions of a user.
    END_ALL(UUID) = "UPDATE authy.session SET ended_at = now() WHERE user_id = $1 AND ended_at IS NULL";
}
