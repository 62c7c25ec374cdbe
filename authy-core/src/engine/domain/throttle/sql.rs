//! The statements that count guesses.
//!
//! They commit without waiting for the disk (`synchronous_commit`, for their own transaction only): should the database crash,
//! and not only restart, the last moments' counts may be lost, and nothing else. An attempt whose event is told waits.

use crate::engine::storage::statement::statements;

macro_rules! quick {
    ($unless:literal) => {
        concat!(
            "WITH quick AS (SELECT set_config('synchronous_commit', CASE WHEN ",
            $unless,
            " THEN current_setting('synchronous_commit') ELSE 'off' END, true)) "
        )
    };
}

statements! {
    /// What is remembered under keys, in their order, and what time it is. Whoever has been under way for so many seconds is
    /// not any more.
    FIND(TEXT_ARRAY, FLOAT8) =
        "SELECT clock_timestamp() AS now, failures, counted,
                coalesce(pending > 0 AND counted > clock_timestamp() - make_interval(secs => $2), false) AS is_pending
         FROM unnest($1) WITH ORDINALITY AS wanted (key, position) LEFT JOIN authy.throttle USING (key)
         ORDER BY position";

    /// Counts an attempt that begins as a failure, unless something changed since it was looked at: of many at once, each
    /// counts. Those that were under way for too long are not any more.
    RESERVE(TEXT, INT4, TIMESTAMPTZ, TIMESTAMPTZ, INT4, TIMESTAMPTZ, FLOAT8) = concat!(
        quick!("false"),
        "INSERT INTO authy.throttle AS known (key, failures, pending, counted, forgotten)
         SELECT $1, $2, 1, $3, $4 FROM quick
         ON CONFLICT (key) DO UPDATE SET
             failures = excluded.failures, counted = excluded.counted, forgotten = excluded.forgotten,
             pending = 1 + CASE WHEN known.counted > $3 - make_interval(secs => $7) THEN known.pending ELSE 0 END
         WHERE known.failures = $5 AND known.counted = $6
         RETURNING 1"
    );

    /// Notes an attempt that is not looked at. It is as much work as one that is.
    REFUSE(TEXT) = concat!(
        quick!("false"),
        "UPDATE authy.throttle SET refused = refused + 1 FROM quick WHERE key = $1 RETURNING 1"
    );

    /// An attempt has failed: it is not under way any more, its address has one more, and an event tells of it when it is the
    /// first that is followed by a wait. An address leaks as in `backoff.rs`, here and not there, because it has many
    /// accounts that count at once.
    FAIL(TEXT, BOOL, TEXT, FLOAT8, BOOL, UUID, TEXT, UUID, TEXT, UUID, INET, TEXT, TEXT, JSONB) = concat!(
        quick!("$5"),
        ", settled AS (
             -- Not admitted, it was never under way: the same is written, so that it takes as long.
             UPDATE authy.throttle SET pending = CASE WHEN $2 THEN greatest(pending - 1, 0) ELSE pending END
             FROM quick WHERE key = $1
         ), counted AS (
             INSERT INTO authy.throttle AS known (key, failures, counted, forgotten)
             SELECT $3, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => $4) FROM quick WHERE $3 IS NOT NULL
             ON CONFLICT (key) DO UPDATE SET
                 failures = 1 + greatest(
                     known.failures - floor(extract(epoch FROM clock_timestamp() - known.counted) / $4)::integer, 0),
                 counted = clock_timestamp(),
                 -- Rather later than too early.
                 forgotten = clock_timestamp() + make_interval(secs => $4 * (1 + known.failures))
         ), told AS (
             INSERT INTO authy.event
                 (event_id, kind, actor, origin, subject, ip, user_agent, request_id, detail)
             SELECT $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM quick WHERE $5
         )
         SELECT 1 FROM quick"
    );

    /// An attempt that was counted was never looked at.
    RETRACT(TEXT) = concat!(
        quick!("false"),
        "UPDATE authy.throttle SET failures = greatest(failures - 1, 0), pending = greatest(pending - 1, 0)
         FROM quick WHERE key = $1 RETURNING 1"
    );

    /// An attempt has succeeded: there was never a failure.
    CLEAR(TEXT) = "DELETE FROM authy.throttle WHERE key = $1 RETURNING 1";

    /// Deletes what is remembered no more.
    FORGET() = "DELETE FROM authy.throttle WHERE forgotten < now()";
}
