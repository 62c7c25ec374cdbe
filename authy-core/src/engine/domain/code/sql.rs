//! The statements of one-time codes.

use crate::engine::storage::statement::statements;

statements! {
    /// Creates a code.
    CREATE(UUID, UUID, TEXT, TEXT, TEXT, FLOAT8) =
        "INSERT INTO authy.code (code_id, user_id, purpose, email, email_key, expires)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))";

    /// Creates a reset code for the account with an address, and its event. When no account has confirmed the address,
    /// the account that entered it last gets the code, because someone else may have signed up with it before the
    /// owner. When no account has the address, the same rows are written without a user, so that neither the response
    /// nor its time differs. Waits for a concurrent change of the user, so that the code does not survive it.
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

    /// A valid code.
    FIND(UUID) =
        "SELECT user_id, purpose, email FROM authy.code
         WHERE code_id = $1 AND user_id IS NOT NULL AND expires > now()";

    /// Uses up a code.
    TAKE(UUID) =
        "DELETE FROM authy.code WHERE code_id = $1 AND user_id IS NOT NULL AND expires > now()
         RETURNING user_id, purpose, email";

    /// Stores that a code has confirmed an address.
    SPEND(UUID, UUID, TEXT) =
        "INSERT INTO authy.spent_code (code_id, user_id, purpose) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

    /// A code that has confirmed the current address of its user.
    FIND_SPENT(UUID) =
        "SELECT user_id, purpose, email FROM authy.spent_code JOIN authy.users ON public_id = user_id
         WHERE code_id = $1 AND validated_at IS NOT NULL AND deleted_at IS NULL";

    /// Deletes the codes that confirmed a former address of a user.
    FORGET_SPENT_OF(UUID) = "DELETE FROM authy.spent_code WHERE user_id = $1";

    /// Deletes at most a number of the codes that confirmed an address a number of seconds ago or earlier.
    FORGET_SPENT(FLOAT8, INT8) =
        "DELETE FROM authy.spent_code WHERE code_id IN (
             SELECT code_id FROM authy.spent_code WHERE spent < now() - make_interval(secs => $1) ORDER BY spent LIMIT $2)";

    /// Revokes a user's codes for one purpose, or all.
    REVOKE(UUID, TEXT) = "DELETE FROM authy.code WHERE user_id = $1 AND ($2 IS NULL OR purpose = $2)";

    /// Revokes all codes of all users.
    REVOKE_ALL() = "DELETE FROM authy.code";

    /// The number of new addresses that a user has requested within the last hour.
    COUNT_REQUESTED(UUID, TEXT) =
        "SELECT count(*) FROM authy.event WHERE subject = $1 AND kind = $2 AND happened > now() - interval '1 hour'";

    /// Deletes expired codes.
    FORGET(INT8) =
        "DELETE FROM authy.code WHERE code_id IN (
             SELECT code_id FROM authy.code WHERE expires < now() ORDER BY expires LIMIT $1)";
}
