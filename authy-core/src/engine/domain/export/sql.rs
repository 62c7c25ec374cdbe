//! The statements of an export.

use crate::engine::storage::statement::statements;

statements! {
    /// The stored sessions of a user that are older than a position, newest first.
    LIST_SESSIONS(UUID, TIMESTAMPTZ, UUID, INT8) =
        "SELECT session_id, created, last_used, expires, ended_at, host(ip) AS ip, user_agent
         FROM authy.session WHERE user_id = $1 AND (created, session_id) < ($2, $3)
         ORDER BY created DESC, session_id DESC LIMIT $4";

    /// The data stored about a user, except sessions, roles and events.
    FIND_USER(UUID) =
        "SELECT username, email, created, last_login, validated_at, changed
         FROM authy.users LEFT JOIN authy.password ON password.user_id = public_id WHERE public_id = $1";

    /// The address that a user has requested and not confirmed yet.
    FIND_PENDING_EMAIL(UUID) =
        "SELECT email FROM authy.code WHERE user_id = $1 AND purpose = 'email' AND expires > now()
         ORDER BY created DESC LIMIT 1";
}
