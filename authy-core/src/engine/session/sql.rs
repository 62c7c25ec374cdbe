//! The statements of sessions.

use crate::engine::statements::statements;

statements! {
    /// Opens a session: how long it lasts, and how long its first access token lives.
    OPEN(UUID, UUID, FLOAT8, FLOAT8, INET, TEXT) =
        "INSERT INTO authy.session (session_id, user_id, expires, access_until, ip, user_agent)
         VALUES ($1, $2, now() + make_interval(secs => $3), now() + make_interval(secs => $4), $5, $6)";

    /// Notes a login, unless the user was deleted or the password changed since it was looked at.
    NOTE_LOGIN(UUID, TEXT) =
        "UPDATE authy.users SET last_login = now()
         WHERE public_id = $1 AND deleted_at IS NULL
           AND EXISTS (SELECT 1 FROM authy.password WHERE user_id = $1 AND phc = $2)
         RETURNING public_id, username, ver";

    /// A session's user, who cannot change while the transaction lasts.
    SHARE_USER(UUID) =
        "SELECT public_id, username, ver FROM authy.session JOIN authy.users ON public_id = user_id
         WHERE session_id = $1 AND deleted_at IS NULL FOR KEY SHARE OF users";

    /// Exchanges a refresh token for the next: only one of many who try at once does, and only in a live session.
    ROTATE(UUID, INT8, FLOAT8, FLOAT8) =
        "UPDATE authy.session
         SET generation = generation + 1, rotated = now(), last_used = now(),
             access_until = greatest(access_until, now() + make_interval(secs => $4))
         WHERE session_id = $1 AND generation = $2 AND ended_at IS NULL
           AND expires > now() AND last_used > now() - make_interval(secs => $3)
         RETURNING extract(epoch FROM expires - now())::float8 AS remaining";

    /// What became of a session whose token was not the current one; held until the transaction ends.
    LOCK(UUID, FLOAT8, FLOAT8) =
        "SELECT user_id, generation, extract(epoch FROM expires - now())::float8 AS remaining,
                ended_at IS NULL AND expires > now() AND last_used > now() - make_interval(secs => $2) AS live,
                coalesce(rotated > now() - make_interval(secs => $3), false) AS just_rotated
         FROM authy.session WHERE session_id = $1 FOR UPDATE";

    /// Another access token of the same generation was issued.
    PROLONG(UUID, FLOAT8) =
        "UPDATE authy.session SET access_until = greatest(access_until, now() + make_interval(secs => $2))
         WHERE session_id = $1";

    /// The epoch of a live session's user, unless the key that signed is over.
    FIND_EPOCH(UUID, UUID, TEXT) =
        "SELECT ver FROM authy.session JOIN authy.users ON public_id = user_id
         WHERE session_id = $1 AND user_id = $2 AND ended_at IS NULL AND deleted_at IS NULL
           AND EXISTS (SELECT 1 FROM authy.signing_key WHERE kid = $3 AND state <> 'retired')";

    /// A user's sessions, the one used last first.
    LIST(UUID, FLOAT8) =
        "SELECT session_id, created, last_used,
                least(expires, last_used + make_interval(secs => $2)) AS expires, host(ip) AS ip, user_agent
         FROM authy.session
         WHERE user_id = $1 AND ended_at IS NULL AND expires > now()
           AND last_used > now() - make_interval(secs => $2)
         ORDER BY last_used DESC, session_id";

    /// Ends a session of a user.
    END(UUID, UUID) =
        "UPDATE authy.session SET ended_at = now()
         WHERE session_id = $1 AND user_id = $2 AND ended_at IS NULL RETURNING session_id";

    /// Ends all sessions of a user but one.
    END_OTHERS(UUID, UUID) =
        "UPDATE authy.session SET ended_at = now()
         WHERE user_id = $1 AND session_id <> $2 AND ended_at IS NULL RETURNING session_id";

    /// Ends all sessions of a user.
    END_ALL(UUID) = "UPDATE authy.session SET ended_at = now() WHERE user_id = $1 AND ended_at IS NULL";
}
