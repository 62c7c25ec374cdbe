//! The statements that count guesses.
//!
//! They commit without waiting for the disk (`synchronous_commit`, only for their own transaction): when the database
//! crashes, the last counts may be lost, and nothing else. An attempt with an event waits for the disk.

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
    /// The states of the keys, in their order, and the current time. Attempts older than a number of seconds no longer
    /// count as running.
    FIND(TEXT_ARRAY, FLOAT8) =
        "SELECT clock_timestamp() AS now, failures, counted,
                coalesce(pending > 0 AND counted > clock_timestamp() - make_interval(secs => $2), false) AS is_pending
         FROM unnest($1) WITH ORDINALITY AS wanted (key, position) LEFT JOIN authy.throttle USING (key)
         ORDER BY position";

    /// Counts an attempt as a failure before it runs, unless the state has changed since it was read: of many
    /// concurrent ones, each counts. Attempts that have run for too long no longer count as running.
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

    /// Counts an attempt that was verified without being counted before, from the state of this moment, as in
    /// `backoff.rs`. It needs no wait to have ended: it began when nothing was on record.
    COUNT_UNRESERVED(TEXT, FLOAT8, FLOAT8) = concat!(
        quick!("false"),
        "INSERT INTO authy.throttle AS known (key, failures, counted, forgotten)
         SELECT $1, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => $2) FROM quick
         ON CONFLICT (key) DO UPDATE SET
             failures = 1 + greatest(known.failures - greatest(
                 floor(extract(epoch FROM clock_timestamp() - known.counted) / $2)::integer, 0), 0),
             counted = clock_timestamp(),
             -- What has run for too long does not count as running again because of the new time.
             pending = CASE WHEN known.counted > clock_timestamp() - make_interval(secs => $3) THEN known.pending ELSE 0 END,
             -- An upper bound, so that no failure is deleted too early.
             forgotten = clock_timestamp() + make_interval(secs => $2 * (1 + known.failures))
         RETURNING failures"
    );

    /// Records an attempt that is not verified. It costs as much as one that is.
    REFUSE(TEXT) = concat!(
        quick!("false"),
        "UPDATE authy.throttle SET refused = refused + 1 FROM quick WHERE key = $1 RETURNING 1"
    );

    /// Ends a failed attempt, adds a failure to its address, and writes an event when this is the first failure that is
    /// followed by a wait. The count of an address decreases as in `backoff.rs`, but here, because many accounts count
    /// for it concurrently.
    FAIL(TEXT, BOOL, TEXT, FLOAT8, BOOL, UUID, TEXT, UUID, TEXT, UUID, INET, TEXT, TEXT, JSONB) = concat!(
        quick!("$5"),
        ", settled AS (
             -- Without a reservation it was never counted as running: the same columns are written, so that it takes
             -- as long.
             UPDATE authy.throttle SET pending = CASE WHEN $2 THEN greatest(pending - 1, 0) ELSE pending END
             FROM quick WHERE key = $1
         ), counted AS (
             INSERT INTO authy.throttle AS known (key, failures, counted, forgotten)
             SELECT $3, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => $4) FROM quick WHERE $3 IS NOT NULL
             ON CONFLICT (key) DO UPDATE SET
                 failures = 1 + greatest(
                     known.failures - floor(extract(epoch FROM clock_timestamp() - known.counted) / $4)::integer, 0),
                 counted = clock_timestamp(),
                 -- An upper bound, so that no failure is deleted too early.
                 forgotten = clock_timestamp() + make_interval(secs => $4 * (1 + known.failures))
         ), event AS (
             INSERT INTO authy.event
                 (event_id, kind, actor, origin, subject, ip, user_agent, request_id, detail)
             SELECT $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM quick WHERE $5
         )
         SELECT 1 FROM quick"
    );

    /// Ends an attempt that was counted but not verified.
    RETRACT(TEXT) = concat!(
        quick!("false"),
        "UPDATE authy.throttle SET failures = greatest(failures - 1, 0), pending = greatest(pending - 1, 0)
         FROM quick WHERE key = $1 RETURNING 1"
    );

    /// Ends a successful attempt, and deletes all failures.
    CLEAR(TEXT) = "DELETE FROM authy.throttle WHERE key = $1 RETURNING 1";

    /// Deletes at most a number of the counts that have no effect any more.
    FORGET(INT8) =
        "DELETE FROM authy.throttle WHERE forgotten < now() AND key IN (
             SELECT key FROM authy.throttle WHERE forgotten < now() ORDER BY forgotten LIMIT $1)";
}
