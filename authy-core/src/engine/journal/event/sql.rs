//! The statements of events.

use crate::engine::storage::statement::statements;

macro_rules! event_view {
    ($($rest:tt)+) => {
        concat!(
            "SELECT event_id, kind, happened, happened::text AS happened_text, actor, origin, subject, session_id,
                    host(ip) AS ip, user_agent, request_id, detail FROM authy.event ",
            $($rest)+
        )
    };
}

/// The events between two positions, optionally of one kind, that meet one more condition.
macro_rules! between {
    ($condition:literal, $order:literal) => {
        event_view!(concat!(
            "WHERE (happened, event_id) > ($1, $2) AND (happened, event_id) < ($3, $4) AND ($5 IS NULL OR kind = $5)",
            $condition,
            $order
        ))
    };
}

/// The same events whose subject or actor is a user. Each half has an index.
macro_rules! between_of_user {
    ($order:literal) => {
        concat!(
            "SELECT * FROM (",
            between!(" AND subject = $7", $order),
            ") AS about_user UNION SELECT * FROM (",
            between!(" AND actor = $7", $order),
            ") AS by_user",
            $order
        )
    };
}

pub(in crate::engine) use event_view;

statements! {
    /// Whether a transaction can add no event, or anything else: the database is a standby.
    IS_READ_ONLY() = "SELECT current_setting('transaction_read_only')::boolean AS is_read_only";

    /// Writes an event.
    APPEND(UUID, TEXT, UUID, TEXT, UUID, UUID, INET, TEXT, TEXT, JSONB) =
        "INSERT INTO authy.event
             (event_id, kind, actor, origin, subject, session_id, ip, user_agent, request_id, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

    /// Creates the partitions of this month and a number of later months. Returns the number of new ones.
    MAKE_PARTITIONS(INT4) = "SELECT authy.make_event_partitions($1)";

    /// Protects every partition from TRUNCATE, including new ones.
    PROTECT_PARTITIONS() = "SELECT authy.keep_event_partitions()";

    /// Drops the partitions older than a number of seconds. Returns how many were dropped, and how many were kept
    /// because one of these sinks, or any sink, has not received all of their events.
    DROP_PARTITIONS(FLOAT8, TEXT_ARRAY) = "SELECT dropped, kept FROM authy.drop_event_partitions($1, $2)";

    /// The events between two positions, newest first, optionally of one kind.
    LIST(TIMESTAMPTZ, UUID, TIMESTAMPTZ, UUID, TEXT, INT8) =
        between!("", " ORDER BY happened DESC, event_id DESC LIMIT $6");

    /// The same, oldest first.
    LIST_ASCENDING(TIMESTAMPTZ, UUID, TIMESTAMPTZ, UUID, TEXT, INT8) =
        between!("", " ORDER BY happened, event_id LIMIT $6");

    /// The events between two positions whose subject or actor is a user, newest first, optionally of one kind.
    LIST_OF_USER(TIMESTAMPTZ, UUID, TIMESTAMPTZ, UUID, TEXT, INT8, UUID) =
        between_of_user!(" ORDER BY happened DESC, event_id DESC LIMIT $6");

    /// The same, oldest first.
    LIST_OF_USER_ASCENDING(TIMESTAMPTZ, UUID, TIMESTAMPTZ, UUID, TEXT, INT8, UUID) =
        between_of_user!(" ORDER BY happened, event_id LIMIT $6");

    /// The number of events of a kind since a time, up to a limit.
    COUNT(TEXT, TIMESTAMPTZ, INT8) =
        "SELECT count(*) AS counted FROM (
             SELECT FROM authy.event WHERE kind = $1 AND happened >= $2 AND happened < now() + interval '1 day' LIMIT $3
         ) AS first";

    /// The time before which no event is added any more, so that a later statement reads all of them: the beginning of
    /// the oldest transaction that is writing an event, or the present.
    ///
    /// A transaction locks the table before it determines the time of an event, and holds the lock until its commit is
    /// visible. One whose beginning is not known, because it is prepared or has another role, counts as old. One that
    /// ended since the lock was seen is idle.
    ///
    /// With it, whether a position was lost: its event does not exist, although older ones do. No event has the smallest
    /// ID, which is the position before the first event of a time.
    FIND_SETTLED(TIMESTAMPTZ, UUID) =
        "SELECT least(statement_timestamp(),
                      min(coalesce(a.xact_start, to_timestamp(0))) FILTER (WHERE a.state IS DISTINCT FROM 'idle')
               ) AS settled,
               $2 <> '00000000-0000-0000-0000-000000000000'
                   AND NOT EXISTS (SELECT FROM authy.event WHERE happened = $1 AND event_id = $2)
                   AND coalesce((SELECT min(happened) < $1 FROM authy.event), true) AS is_lost
         FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.relation = 'authy.event'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
}
