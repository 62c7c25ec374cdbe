//! The statements of one-time codes.

use crate::engine::statements::statements;

statements! {
    /// Makes a code.
    CREATE(UUID, UUID, TEXT, TEXT, TEXT, FLOAT8) =
        "INSERT INTO authy.code (code_id, user_id, purpose, email, email_key, expires)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))";

    /// Makes a code that resets the password of whoever has an address, and tells of it. When nobody has it, the same is
    /// written about nobody: neither the answer nor its time tells which. Whoever is changing the user is waited for, so
    /// that no code survives a change that did not know of it.
    CREATE_RESET(TEXT, UUID, FLOAT8, UUID, TEXT, UUID, TEXT, INET, TEXT, TEXT) =
        "WITH account AS (
             SELECT public_id, email, email_key FROM authy.users
             WHERE email_key = $1 AND deleted_at IS NULL FOR KEY SHARE
         ), made AS (
             INSERT INTO authy.code (code_id, user_id, purpose, email, email_key, expires)
             SELECT $2, public_id, 'reset', email, email_key, now() + make_interval(secs => $3)
             FROM (SELECT) AS one LEFT JOIN account ON true
         )
         INSERT INTO authy.event (event_id, kind, actor, origin, subject, ip, user_agent, request_id, detail)
         SELECT $4, $5, $6, $7, public_id, $8, $9, $10, jsonb_build_object('code_id', $2)
         FROM (SELECT) AS one LEFT JOIN account ON true";

    /// A code that works.
    FIND(UUID) =
        "SELECT user_id, purpose, email FROM authy.code
         WHERE code_id = $1 AND user_id IS NOT NULL AND expires > now()";

    /// Uses a code up.
    TAKE(UUID) =
        "DELETE FROM authy.code WHERE code_id = $1 AND user_id IS NOT NULL AND expires > now()
         RETURNING user_id, purpose, email";

    /// Voids a user's codes for one purpose, or all.
    VOID(UUID, TEXT) = "DELETE FROM authy.code WHERE user_id = $1 AND ($2 IS NULL OR purpose = $2)";

    /// Whom a code goes to, unless it works no more, or the event that tells of it is one too many of its kind in its hour of
    /// the clock, where they are limited. So whoever goes on asking keeps nobody from getting the first ones of the next hour.
    FIND_LETTER(UUID, TEXT, UUID, TEXT, INT8) =
        "SELECT username, code.email, code.expires
         FROM authy.code JOIN authy.users ON public_id = user_id
         WHERE code_id = $1 AND purpose = $2 AND code.email IS NOT NULL AND code.expires > now() AND deleted_at IS NULL
           AND ($5 IS NULL
                OR (SELECT count(*) FROM authy.event
                    WHERE subject = public_id AND kind = $4 AND event_id <> $3
                      AND actor IS NULL AND happened >= date_trunc('hour', code.created)
                      AND happened < code.created) < $5)";

    /// How many new addresses a user has asked for in the last hour.
    COUNT_REQUESTED(UUID, TEXT) =
        "SELECT count(*) FROM authy.event WHERE subject = $1 AND kind = $2 AND happened > now() - interval '1 hour'";

    /// The address a user wants and has not confirmed yet.
    FIND_PENDING_EMAIL(UUID) =
        "SELECT email FROM authy.code WHERE user_id = $1 AND purpose = 'email' AND expires > now()
         ORDER BY created DESC LIMIT 1";

    /// Deletes what has expired.
    FORGET() = "DELETE FROM authy.code WHERE expires < now()";
}
