//! The statements of events.

use crate::engine::statements::statements;

statements! {
    /// Writes an event.
    APPEND(UUID, TEXT, UUID, TEXT, UUID, UUID, INET, TEXT, TEXT, JSONB) =
        "INSERT INTO authy.event
             (event_id, kind, actor, origin, subject, session_id, ip, user_agent, request_id, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
}
