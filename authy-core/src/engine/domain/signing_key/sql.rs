//! The statements of signing keys.

use crate::engine::storage::statement::statements;

statements! {
    /// Lets one instance at a time change the keys.
    LOCK() = "SELECT pg_advisory_xact_lock(418313730681)";

    /// A key of an algorithm in a state.
    FIND_STATE(TEXT, TEXT) = "SELECT kid FROM authy.signing_key WHERE algorithm = $1 AND state = $2 LIMIT 1";

    /// A key that is not revoked. It may be retired: its thief may have created tokens since.
    FIND(TEXT) =
        "SELECT algorithm, state FROM authy.signing_key WHERE kid = $1
         AND NOT EXISTS (SELECT FROM authy.revocation r WHERE r.kid = $1 AND r.until > now())";

    /// Creates a key.
    CREATE(TEXT, TEXT, TEXT, JSONB, BYTEA) =
        "INSERT INTO authy.signing_key (kid, algorithm, state, public_jwk, sealed) VALUES ($1, $2, $3, $4, $5)";

    /// Changes the state of a key.
    SET_STATE(TEXT, TEXT) = "UPDATE authy.signing_key SET state = $2, changed = clock_timestamp() WHERE kid = $1";

    /// All keys that still verify.
    LIST_LIVE() =
        "SELECT kid, algorithm, state, public_jwk, sealed FROM authy.signing_key
         WHERE state <> 'retired' ORDER BY created DESC, kid";

    /// Stores the token lifetime of an instance, in seconds, and deletes those that no instance has stored again for
    /// longer than such a token is valid.
    NOTE_LIFETIME(INT8) =
        "WITH forgotten AS (
             DELETE FROM authy.token_life
             WHERE seconds <> $1 AND seen < now() - make_interval(secs => seconds) - interval '1 hour'
         )
         INSERT INTO authy.token_life (seconds) VALUES ($1) ON CONFLICT (seconds) DO UPDATE SET seen = now()";

    /// The maximum lifetime in seconds of all tokens that may still be valid.
    LONGEST_LIFETIME() =
        "SELECT max(seconds) AS seconds FROM authy.token_life
         WHERE seen > now() - make_interval(secs => seconds) - interval '1 hour'";

    /// All keys.
    LIST() = "SELECT kid, algorithm, state, created, changed FROM authy.signing_key ORDER BY created DESC, kid";

    /// All keys, with their encrypted private keys.
    LIST_WITH_PRIVATE() =
        "SELECT kid, algorithm, state, created, changed, sealed FROM authy.signing_key ORDER BY created DESC, kid";

    /// The keys of an algorithm that are not retired, with the number of seconds in their state.
    LIST_AGES(TEXT) =
        "SELECT kid, state, extract(epoch FROM clock_timestamp() - changed)::float8 AS age
         FROM authy.signing_key WHERE algorithm = $1 AND state <> 'retired'";

    /// A key of another algorithm that has not been maintained for a number of seconds: no instance uses that algorithm
    /// any more.
    FIND_FORGOTTEN(TEXT, FLOAT8) =
        "SELECT kid FROM authy.signing_key
         WHERE algorithm <> $1 AND state <> 'retired' AND changed < clock_timestamp() - make_interval(secs => $2)
         ORDER BY changed LIMIT 1";

    /// All encrypted keys.
    LIST_SEALED() = "SELECT kid, sealed FROM authy.signing_key ORDER BY kid FOR UPDATE";

    /// Replaces the encrypted key.
    RESEAL(TEXT, BYTEA) = "UPDATE authy.signing_key SET sealed = $2 WHERE kid = $1";

    /// The number of passwords that are hashed with another pepper than this one. The hashes of other programs have none.
    COUNT_OTHER_PEPPERS(TEXT) =
        "SELECT count(*) FROM authy.password JOIN authy.users ON public_id = user_id
         WHERE deleted_at IS NULL AND phc LIKE '%,keyid=%' AND phc NOT LIKE $1";
}
