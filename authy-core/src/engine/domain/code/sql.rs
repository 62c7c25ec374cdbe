//! The statements of one-time codes.

use crate::engine::storage::statement::statements;

statements! {
    /// Makes a code.
    CREATE(UUID, UUID, TEXT, TEXT, TEXT, FLOAT8) =
        "INSERT INTO authy.code (code_id, user_id, purpose, email, email_key, expires)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))";

    /// Makes a code that resets the password of the account with an address, and the event that tells of it. When nobody has
    /// confirmed the address, that is the account that named it last: somebody else may have signed up with it long before its
    /// owner did. When no account has it, the same rows are written about nobody, so neither the answer nor its time tells which.
    /// It waits for a change of the user that is under way, so that no code survives a change that did not know of it.
    CREATE_RESET(TEXT, UUID, FLOAT8, UUID, TEXT, UUID, TEXT, INET, TEXT, TEXT) =
        "WITH account AS (
             SELECT public_id, email, email_key FROM authy.users
             WHERE email_key = $1 AND deleted_at IS NULL
             ORDER BY validated_at IS NULL, created DESC LIMIT 1 FOR KEY SHARE
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

    /// Remembers a code that has confirmed an address.
    SPEND(UUID, UUID, TEXT) =
        "INSERT INTO authy.spent_code (code_id, user_id, purpose) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

    /// A code that has confirmed the address that its user has.
    FIND_SPENT(UUID) =
        "SELECT user_id, purpose, email FROM authy.spent_code JOIN authy.users ON public_id = user_id
         WHERE code_id = $1 AND validated_at IS NOT NULL AND deleted_at IS NULL";

    /// Forgets the codes that confirmed an address which the user has no more.
    FORGET_SPENT_OF(UUID) = "DELETE FROM authy.spent_code WHERE user_id = $1";

    /// Forgets what was spent so many seconds ago.
    FORGET_SPENT(FLOAT8) = "DELETE FROM authy.spent_code WHERE spent < now() - make_interval(secs => $1)";

    /// Revokes a user's codes for one purpose, or all.
    REVOKE(UUID, TEXT) = "DELETE FROM authy.code WHERE user_id = $1 AND ($2 IS NULL OR purpose = $2)";

    /// How many new addresses a user has asked for in the last hour.
    COUNT_REQUESTED(UUID, TEXT) =
        "SELECT count(*) FROM authy.event WHERE subject = $1 AND kind = $2 AND happened > now() - interval '1 hour'";

    /// Deletes what has expired.
    FORGET() = "DELETE FROM authy.code WHERE expires < now()";
}
