//! The statements of events.

use crate::engine::storage::statement::statements;

macro_rules! event_view {
    ($rest:literal) => {
        concat!(
            "SELECT event_id, kind, happened, happened::text AS happened_text, actor, origin, subject, session_id,
                    host(ip) AS ip, user_agent, request_id, detail FROM authy.event ",
            $rest
        )
    };
}

pub(in crate::engine) use event_view;

statements! {
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

    /// The events before a position, newest first, optionally of one kind.
    LIST(TIMESTAMPTZ, UUID, TEXT, INT8) = event_view!(
        "WHERE (happened, event_id) < ($1, $2) AND ($3 IS NULL OR kind = $3)
         ORDER BY happened DESC, event_id DESC LIMIT $4"
    );

    /// The events before a position whose subject or actor is a user, newest first, optionally of one kind. Each half
    /// has an index.
    LIST_OF_USER(TIMESTAMPTZ, UUID, TEXT, INT8, UUID) = concat!(
        "SELECT * FROM (",
        event_view!(
            "WHERE (happened, event_id) < ($1, $2) AND ($3 IS NULL OR kind = $3) AND subject = $5
             ORDER BY happened DESC, event_id DESC LIMIT $4"
        ),
        ") AS about_user UNION SELECT * FROM (",
        event_view!(
            "WHERE (happened, event_id) < ($1, $2) AND ($3 IS NULL OR kind = $3) AND actor = $5
             ORDER BY happened DESC, event_id DESC LIMIT $4"
        ),
        ") AS by_user ORDER BY happened DESC, event_id DESC LIMIT $4"
    );
}
