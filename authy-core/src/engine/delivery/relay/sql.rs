//! The statements of the relay.

use crate::engine::{journal::event::sql::event_view, storage::statement::statements};

/// The columns of a [`StuckDelivery`](super::stuck::StuckDelivery), from a query of deliveries `d`.
macro_rules! stuck {
    ($($from:tt)+) => {
        concat!(
            "SELECT d.sink, d.event_id, d.happened, e.kind, d.subject, d.state, d.attempts, d.next_attempt, d.error,
                    d.dismissed IS NOT NULL AS is_dismissed
             FROM ",
            $($from)+
        )
    };
}

/// A page of the deliveries that meet a condition, with an index for each, to one sink or all: oldest event first, after a
/// position. Each sink is read by itself, along the index, so that a page costs the same whatever else is stuck.
macro_rules! stuck_page {
    ($condition:literal) => {
        stuck!(concat!(
            "authy.event_cursor c
             CROSS JOIN LATERAL (
                 SELECT d.sink, d.event_id, d.happened, d.subject, d.state, d.attempts, d.next_attempt, d.error, d.dismissed
                 FROM authy.delivery d
                 WHERE d.sink = c.sink AND ",
            $condition,
            " AND (d.happened, d.event_id) >= ($2, $3) AND (d.happened, d.event_id, d.sink) > ($2, $3, $4)
                 ORDER BY d.happened, d.event_id LIMIT $5
             ) AS d
             LEFT JOIN authy.event e ON e.event_id = d.event_id AND e.happened = d.happened
             WHERE $1::text IS NULL OR c.sink = $1
             ORDER BY d.happened, d.event_id, d.sink LIMIT $5"
        ))
    };
}

/// Dismisses the deliveries of a query, which locks them. One whose status is shown with its user stays for that.
macro_rules! dismiss {
    ($found:literal) => {
        concat!(
            "WITH found AS (",
            $found,
            "), forgotten AS (
                 DELETE FROM authy.delivery d USING found f
                 WHERE d.sink = f.sink AND d.event_id = f.event_id AND NOT f.shows_status
             ), kept AS (
                 UPDATE authy.delivery d SET dismissed = now() FROM found f
                 WHERE d.sink = f.sink AND d.event_id = f.event_id AND f.shows_status
             )
             SELECT event_id, subject FROM found"
        )
    };
}

/// How many events that a sink with cursor `c` has not received are new since its position, up to a number, and the time of
/// the oldest of them: the first events by transaction are among the oldest.
macro_rules! new_events {
    ($limit:literal) => {
        concat!(
            "SELECT count(*) AS waiting, min(first.happened) AS oldest FROM (
                 SELECT e.happened FROM authy.event e
                 WHERE e.epoch = c.epoch AND e.xid >= pg_snapshot_xmin(c.seen)
                   AND NOT pg_visible_in_snapshot(e.xid, c.seen)
                   AND (c.pass IS NULL OR NOT pg_visible_in_snapshot(e.xid, c.pass)
                        OR (e.happened, e.event_id) > (c.happened, c.event_id))
                 ORDER BY e.xid LIMIT ",
            $limit,
            ") AS first"
        )
    };
}

/// How many deliveries to a sink with cursor `c` wait, up to a number, and the time of the oldest of them: what was never tried
/// is in the order in which it is due.
macro_rules! queued {
    ($limit:literal) => {
        concat!(
            "SELECT count(*) AS waiting, min(first.happened) AS oldest FROM (
                 SELECT d.happened FROM authy.delivery d WHERE d.sink = c.sink AND d.state = 'waiting'
                 ORDER BY d.next_attempt LIMIT ",
            $limit,
            ") AS first"
        )
    };
}

/// How many deliveries to a sink with cursor `c` failed and are repeated, up to 10,000, and the time of the oldest.
macro_rules! repeated {
    () => {
        "SELECT count(*) AS number, min(first.happened) AS oldest FROM (
             SELECT d.happened FROM authy.delivery d
             WHERE d.sink = c.sink AND d.state = 'waiting' AND d.attempts > 0
             ORDER BY d.happened, d.event_id LIMIT 10000
         ) AS first"
    };
}

/// How many deliveries to a sink with cursor `c` were given up and not dismissed, up to 10,000.
macro_rules! given_up {
    () => {
        "SELECT count(*) AS number FROM (
             SELECT FROM authy.delivery d
             WHERE d.sink = c.sink AND d.state = 'given_up' AND d.dismissed IS NULL LIMIT 10000
         ) AS first"
    };
}

statements! {
    /// Whether the database is still in the cluster whose transaction IDs the cursors contain.
    IS_HERE() =
        "SELECT cluster = system_identifier AS here FROM authy.event_epoch, pg_control_system()";

    /// Begins a new epoch when it is not.
    BEGIN_EPOCH() = "SELECT authy.begin_event_epoch()";

    /// Creates a sink's cursor, unless it exists: at the present position, or before every event when no background work
    /// has begun yet. Stores whether its status is shown with the users.
    CREATE_CURSOR(TEXT, BOOL) =
        "INSERT INTO authy.event_cursor AS known (sink, epoch, seen, shows_status)
         SELECT $1, epoch, CASE WHEN first_start IS NULL THEN '1:1:'::pg_snapshot ELSE pg_current_snapshot() END, $2
         FROM authy.event_epoch, authy.installation
         ON CONFLICT (sink) DO UPDATE SET shows_status = $2 WHERE known.shows_status <> $2";

    /// Begins the next turn of a cursor, so that the writes of earlier ones have no effect. Returns the position and the
    /// current timeline.
    TAKE_CURSOR(TEXT) =
        "UPDATE authy.event_cursor SET turn = turn + 1 WHERE sink = $1
         RETURNING epoch, seen::text, pass::text, happened::text, event_id, turn,
                   left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline";

    /// The transactions that are new since a snapshot, and the current snapshot: those that were running at that time
    /// or have begun since. So a long-running transaction does not cause what others commit meanwhile to be read
    /// repeatedly. The two aggregates in one query prevent the planner from scanning along the time index.
    LOOK(INT4, TEXT) =
        "SELECT pg_current_snapshot()::text AS now, count(*) AS waiting, min(happened)::text AS first,
                (SELECT epoch FROM authy.event_epoch) AS epoch,
                (SELECT cluster = system_identifier FROM authy.event_epoch, pg_control_system()) AS here
         FROM authy.event
         WHERE epoch = $1 AND (xid >= pg_snapshot_xmax($2::pg_snapshot)
                               OR xid = ANY (ARRAY(SELECT pg_snapshot_xip($2::pg_snapshot))))";

    /// The events in one snapshot and not in the other, in order of time, after a position.
    READ(INT4, TEXT, TEXT, TEXT, UUID, INT8) = event_view!(
        "WHERE epoch = $1 AND xid >= pg_snapshot_xmin($2::pg_snapshot)
           AND NOT pg_visible_in_snapshot(xid, $2::pg_snapshot) AND pg_visible_in_snapshot(xid, $3::pg_snapshot)
           AND (happened, event_id) > ($4::timestamptz, $5)
         ORDER BY happened, event_id LIMIT $6"
    );

    /// The remaining events of a past epoch: those that the snapshot does not include, and all of its last hour and
    /// later, because transactions between the move and its detection have IDs of the new cluster.
    READ_LEFT(INT4, TEXT, TEXT, UUID, INT8, TEXT) = event_view!(
        "WHERE epoch = $1 AND (happened, event_id) > ($3::timestamptz, $4)
           AND (NOT pg_visible_in_snapshot(xid, $2::pg_snapshot)
                OR happened > (SELECT seen_at FROM authy.event_cursor WHERE sink = $6) - interval '1 hour')
         ORDER BY happened, event_id LIMIT $5"
    );

    /// Moves a cursor, unless another instance has moved it, and queues events: their IDs, times and users. Only on the timeline
    /// of its snapshots: after a failover to a standby that was behind, the IDs in the snapshots belong to other transactions.
    MOVE_CURSOR(TEXT, INT8, INT4, TEXT, TEXT, TEXT, UUID, TEXT, UUID_ARRAY, TIMESTAMPTZ_ARRAY, UUID_ARRAY) =
        "WITH moved AS (
             UPDATE authy.event_cursor
             SET epoch = $3, seen = $4::pg_snapshot, pass = $5::pg_snapshot, happened = $6::timestamptz, event_id = $7,
                 seen_at = CASE WHEN seen::text = $4 THEN seen_at ELSE clock_timestamp() END, turn = turn + 1, error = NULL
             WHERE sink = $1 AND turn = $2 AND left(pg_walfile_name(pg_current_wal_lsn()), 8) = $8
             RETURNING sink, shows_status
         ), queued AS (
             INSERT INTO authy.delivery (sink, event_id, happened, subject, shows_status)
             SELECT sink, event.event_id, event.happened, event.subject, shows_status
             FROM moved, unnest($9, $10, $11) AS event (event_id, happened, subject)
             ON CONFLICT DO NOTHING
         )
         SELECT 1 FROM moved";

    /// Stores the reason why a sink accepts nothing at present, unless another instance has moved its cursor.
    SET_ERROR(TEXT, TEXT, INT8) =
        "UPDATE authy.event_cursor SET error = $2 WHERE sink = $1 AND turn = $3 AND error IS DISTINCT FROM $2";

    /// Notes that background work has begun: a sink that is added later begins at the present position.
    NOTE_FIRST_START() = "UPDATE authy.installation SET first_start = now() WHERE first_start IS NULL";

    /// The number of the lock of a sink.
    LOCK_NUMBER(TEXT) = "SELECT hashtext($1) AS number";

    /// The deliveries that are due, not in progress, and not behind another one of the same user, also not one in progress: the
    /// last two parameters are the events and the users of those. They count although an operator has given them up, or the
    /// previous holder of the lease has recorded them.
    ///
    /// Read along the indexes: each part has an order that only one of them has, and the planner cannot read all deliveries, or all
    /// events, to find a few.
    LIST_DUE(TEXT, INT8, UUID_ARRAY, UUID_ARRAY) =
        "SELECT d.attempts, e.*
         FROM (
             SELECT d.attempts, d.event_id, d.happened FROM authy.delivery d
             WHERE d.sink = $1 AND d.state = 'waiting' AND d.next_attempt <= now() AND d.event_id <> ALL ($3)
               AND (d.subject IS NULL
                    OR d.subject <> ALL ($4)
                       AND d.event_id = (SELECT b.event_id FROM authy.delivery b
                                         WHERE b.sink = $1 AND b.state = 'waiting' AND b.subject = d.subject
                                         ORDER BY b.happened, b.event_id LIMIT 1))
             ORDER BY d.next_attempt LIMIT $2
         ) AS d
         CROSS JOIN LATERAL (
             SELECT e.event_id, e.kind, e.happened, e.actor, e.origin, e.subject, e.session_id, host(e.ip) AS ip,
                    e.user_agent, e.request_id, e.detail
             FROM authy.event e WHERE e.event_id = d.event_id AND e.happened = d.happened LIMIT 1
         ) AS e";

    /// Finishes a delivery that was accepted or given up. One at a time: with an array, before the table has been analyzed, the
    /// planner reads all deliveries to the sink.
    FINISH(TEXT, UUID, TEXT, TEXT) =
        "UPDATE authy.delivery SET state = $3, error = $4, attempts = attempts + 1, changed = now()
         WHERE sink = $1 AND event_id = $2 AND state = 'waiting'";

    /// Postpones a delivery that was not accepted by a number of seconds, or gives it up when the first failure was a
    /// number of seconds ago. The last attempt is at that time.
    POSTPONE(TEXT, UUID, TEXT, FLOAT8, FLOAT8) =
        "UPDATE authy.delivery
         SET error = $3, attempts = attempts + 1, changed = now(), first_failure = coalesce(first_failure, now()),
             next_attempt = least(now() + make_interval(secs => $4),
                                  coalesce(first_failure, now()) + make_interval(secs => $5)),
             state = CASE WHEN first_failure + make_interval(secs => $5) <= now() THEN 'given_up' ELSE 'waiting' END
         WHERE sink = $1 AND event_id = $2 AND state = 'waiting'
         RETURNING state = 'given_up' AS is_given_up";

    /// A page of the deliveries that failed and are repeated.
    LIST_REPEATED(TEXT, TIMESTAMPTZ, UUID, TEXT, INT8) = stuck_page!("d.state = 'waiting' AND d.attempts > 0");

    /// A page of the deliveries that were given up and not dismissed.
    LIST_GIVEN_UP(TEXT, TIMESTAMPTZ, UUID, TEXT, INT8) = stuck_page!("d.state = 'given_up' AND d.dismissed IS NULL");

    /// The deliveries about a user that failed: those that are repeated first, then those that were given up, also when they
    /// were dismissed. Each has the reason of its last attempt, which the index is about.
    LIST_STUCK_OF(UUID, INT8) = stuck!(
        "authy.delivery d LEFT JOIN authy.event e ON e.event_id = d.event_id AND e.happened = d.happened
         WHERE d.subject = $1 AND d.error IS NOT NULL AND d.state <> 'delivered'
           AND (d.state = 'given_up' OR d.attempts > 0)
         ORDER BY d.state = 'given_up', d.happened, d.event_id, d.sink LIMIT $2"
    );

    /// A delivery that an operator can have repeated or given up.
    FIND_STUCK(TEXT, UUID) = stuck!(
        "authy.delivery d LEFT JOIN authy.event e ON e.event_id = d.event_id AND e.happened = d.happened
         WHERE d.sink = $1 AND d.event_id = $2 AND d.state <> 'delivered'"
    );

    /// Retries a stuck delivery immediately. The time after which it is given up begins again.
    RETRY(TEXT, UUID) =
        "UPDATE authy.delivery
         SET state = 'waiting', next_attempt = now(), changed = now(), first_failure = NULL, dismissed = NULL
         WHERE sink = $1 AND event_id = $2 AND state <> 'delivered' RETURNING subject";

    /// Gives up a stuck delivery.
    SKIP(TEXT, UUID) =
        "UPDATE authy.delivery SET state = 'given_up', changed = now()
         WHERE sink = $1 AND event_id = $2 AND state = 'waiting' RETURNING subject";

    /// Dismisses a delivery that was given up.
    DISMISS(TEXT, UUID) = dismiss!(
        "SELECT sink, event_id, subject, shows_status FROM authy.delivery
         WHERE sink = $1 AND event_id = $2 AND state = 'given_up' AND dismissed IS NULL FOR UPDATE"
    );

    /// The time, by the clock that stamps the deliveries.
    DATABASE_TIME() = "SELECT clock_timestamp() AS now";

    /// Dismisses at most a number of deliveries to a sink, those of the oldest events, that were given up until a time.
    DISMISS_ALL(TEXT, TIMESTAMPTZ, INT8) = dismiss!(
        "SELECT sink, event_id, subject, shows_status FROM authy.delivery
         WHERE sink = $1 AND state = 'given_up' AND dismissed IS NULL AND changed <= $2
         ORDER BY happened, event_id LIMIT $3 FOR UPDATE"
    );

    /// The sinks, with the number of events that each has not received, and the time of the oldest. What it reads is limited,
    /// so that it is fast with any backlog.
    LIST_SINKS() = concat!(
        "SELECT c.sink, least(new.waiting, 10000) + least(queued.waiting, 10000) AS waiting,
                new.waiting > 10000 OR queued.waiting > 10000 AS waiting_is_at_least,
                least(new.oldest, queued.oldest, repeated.oldest) AS oldest, repeated.number AS stuck,
                given_up.number AS given_up, c.error
         FROM authy.event_cursor c
         CROSS JOIN LATERAL (", new_events!("10001"), ") AS new
         CROSS JOIN LATERAL (", queued!("10001"), ") AS queued
         CROSS JOIN LATERAL (", repeated!(), ") AS repeated
         CROSS JOIN LATERAL (", given_up!(), ") AS given_up
         ORDER BY c.sink"
    );

    /// How many seconds these sinks are behind, and how many of their deliveries failed or were given up. What it reads is
    /// limited, so that it is fast with any backlog.
    LIST_LAGS(TEXT_ARRAY) = concat!(
        "SELECT c.sink, repeated.number AS stuck, given_up.number AS given_up,
                greatest(extract(epoch FROM clock_timestamp() - least(new.oldest, queued.oldest, repeated.oldest)), 0)::float8
                    AS lag
         FROM authy.event_cursor c
         CROSS JOIN LATERAL (", new_events!("1000"), ") AS new
         CROSS JOIN LATERAL (", queued!("1000"), ") AS queued
         CROSS JOIN LATERAL (", repeated!(), ") AS repeated
         CROSS JOIN LATERAL (", given_up!(), ") AS given_up
         WHERE c.sink = ANY ($1) ORDER BY c.sink"
    );

    /// Deletes at most a number of the deliveries that were made one month ago, except those whose status is shown with the
    /// user.
    FORGET(INT8) =
        "DELETE FROM authy.delivery WHERE (sink, event_id) IN (
             SELECT sink, event_id FROM authy.delivery
             WHERE state = 'delivered' AND NOT shows_status AND changed < now() - interval '30 days'
             ORDER BY changed LIMIT $1)";
}
