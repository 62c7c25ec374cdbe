//! The statements of revocations.

use crate::engine::storage::statement::statements;

statements! {
    /// Revokes the tokens of a session, if any has not expired. One minute is added, because clocks differ.
    ///
    /// A database that has gone back in time does not know the last tokens of a session that ends in this transaction. None of
    /// them expires later than one that is issued now.
    REVOKE_SESSION(UUID) =
        "INSERT INTO authy.revocation (session_id, until)
         SELECT session_id, greatest(access_until, now() + (access_until - last_used)) + interval '1 minute'
         FROM authy.session
         WHERE session_id = $1
           AND (access_until > now() - interval '1 minute' OR (ended_at = now() AND expires > now()))
         RETURNING until";

    /// Revokes the tokens of a session that the database has lost, and with it their expiry. One minute is added, because
    /// clocks differ.
    REVOKE_LOST_SESSION(UUID, TIMESTAMPTZ) =
        "INSERT INTO authy.revocation (session_id, until) VALUES ($1, $2 + interval '1 minute') RETURNING until";

    /// Revokes a session that does not exist, for a number of seconds: for the self-test.
    REVOKE_TEST_SESSION(UUID, FLOAT8) =
        "INSERT INTO authy.revocation (session_id, until) VALUES ($1, now() + make_interval(secs => $2))";

    /// Revokes a user's tokens of older epochs, if any has not expired or is being issued: a concurrent refresh does
    /// not wait for this, and its token expires no later than one issued now.
    REVOKE_USER(UUID, INT8) =
        "INSERT INTO authy.revocation (user_id, ver, until)
         SELECT $1, $2,
             greatest(max(access_until), now() + max(access_until - last_used)) + interval '1 minute'
         FROM authy.session
         WHERE user_id = $1
           AND (access_until > now() - interval '1 minute' OR (ended_at IS NULL AND expires > now()))
         HAVING max(access_until) IS NOT NULL
         RETURNING until";

    /// Revokes the tokens of all users of older epochs than the present ones, where any has not expired. Everybody is
    /// locked, and all sessions have ended.
    REVOKE_ALL_USERS() =
        "INSERT INTO authy.revocation (user_id, ver, until)
         SELECT user_id, ver, greatest(max(access_until), now() + max(access_until - last_used)) + interval '1 minute'
         FROM authy.session JOIN authy.users ON public_id = user_id
         WHERE access_until > now() - interval '1 minute'
         GROUP BY user_id, ver";

    /// Revokes all tokens that a key signed or will sign: an attacker with the key chooses the times in its tokens, so
    /// the revocation has to outlive every cache of the key.
    REVOKE_KEY(TEXT) =
        "INSERT INTO authy.revocation (kid, until) VALUES ($1, now() + interval '10 years') RETURNING until";

    /// All revocations of transactions that were running or not begun at the cursor, and the next cursor: the oldest
    /// transaction that is running now. Both are from one snapshot, so no late commit is missed. At least one row, with
    /// an empty revocation when there is none.
    ///
    /// The time is that of the statement, before its snapshot. The timeline is that of the WAL being written: it
    /// changes immediately with a promotion, unlike the one in `pg_control_checkpoint()`. A standby writes no WAL.
    POLL(TEXT) =
        "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS cursor,
                (SELECT system_identifier FROM pg_control_system())::text AS cluster,
                CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
                floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint AS as_of_ms,
                (SELECT max(changed) FROM authy.signing_key) AS keys_changed,
                (SELECT max(seconds) FROM authy.token_life) AS longest_lifetime,
                r.session_id, r.user_id, r.ver, r.kid, r.until
         FROM (SELECT) AS one
         LEFT JOIN authy.revocation r ON r.xid >= $1::xid8 AND r.until > now()";

    /// Those of these events that do not exist. Each is looked for by itself: a join could read the whole trail.
    FIND_MISSING(UUID_ARRAY) =
        "SELECT wanted AS event_id FROM unnest($1) AS wanted
         LEFT JOIN LATERAL (SELECT true AS is_there FROM authy.event e WHERE e.event_id = wanted LIMIT 1) AS found ON true
         WHERE found.is_there IS NULL";

    /// Wakes the other instances, after the commit: a NOTIFY inside of a transaction serializes the commits of the
    /// whole database.
    NOTIFY() = "SELECT pg_notify('authy_revocation', '')";

    /// Deletes at most a number of the revocations that expired at least one day ago: the clock of the database may have jumped ahead.
    FORGET(INT8) =
        "DELETE FROM authy.revocation WHERE revocation_id IN (
             SELECT revocation_id FROM authy.revocation WHERE until < now() - interval '1 day' ORDER BY until LIMIT $1)";
}
