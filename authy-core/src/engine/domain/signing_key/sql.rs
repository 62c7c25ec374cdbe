//! The statements of signing keys.

use crate::engine::storage::statement::statements;

statements! {
    /// Lets one instance at a time change the keys.
    LOCK() = "SELECT pg_advisory_xact_lock(418313730681)";

    /// A key of an algorithm in a state.
    FIND_STATE(TEXT, TEXT) = "SELECT kid FROM authy.signing_key WHERE algorithm = $1 AND state = $2 LIMIT 1";

    /// A key that was not revoked. A retired one is found too: tokens that it signed may have been made after it retired.
    FIND(TEXT) =
        "SELECT algorithm, state FROM authy.signing_key WHERE kid = $1
         AND NOT EXISTS (SELECT FROM authy.revocation r WHERE r.kid = $1 AND r.until > now())";

    /// Makes a key.
    CREATE(TEXT, TEXT, TEXT, JSONB, BYTEA) =
        "INSERT INTO authy.signing_key (kid, algorithm, state, public_jwk, sealed) VALUES ($1, $2, $3, $4, $5)";

    /// Takes a key a step further in its life.
    SET_STATE(TEXT, TEXT) = "UPDATE authy.signing_key SET state = $2, changed = clock_timestamp() WHERE kid = $1";

    /// Every key that still verifies.
    LIST_LIVE() =
        "SELECT kid, algorithm, state, public_jwk, sealed FROM authy.signing_key
         WHERE state <> 'retired' ORDER BY created DESC, kid";

    /// Notes that an instance issues tokens that live so many seconds, and forgets what no instance has noted for longer than
    /// such a token lives.
    NOTE_LIFE(INT8) =
        "WITH forgotten AS (
             DELETE FROM authy.token_life
             WHERE seconds <> $1 AND seen < now() - make_interval(secs => seconds) - interval '1 hour'
         )
         INSERT INTO authy.token_life (seconds) VALUES ($1) ON CONFLICT (seconds) DO UPDATE SET seen = now()";

    /// How many seconds the longest-lived token lives that any instance issues, or issued so lately that one may live still.
    LONGEST_LIFE() =
        "SELECT max(seconds) AS seconds FROM authy.token_life
         WHERE seen > now() - make_interval(secs => seconds) - interval '1 hour'";

    /// All keys.
    LIST() = "SELECT kid, algorithm, state, created, changed FROM authy.signing_key ORDER BY created DESC, kid";

    /// The keys of an algorithm that are not over, and how many seconds each has been in its state.
    LIST_AGES(TEXT) =
        "SELECT kid, state, extract(epoch FROM clock_timestamp() - changed)::float8 AS age
         FROM authy.signing_key WHERE algorithm = $1 AND state <> 'retired'";

    /// A key of another algorithm that nobody has looked after for so many seconds: no instance uses that algorithm any more.
    FIND_FORGOTTEN(TEXT, FLOAT8) =
        "SELECT kid FROM authy.signing_key
         WHERE algorithm <> $1 AND state <> 'retired' AND changed < clock_timestamp() - make_interval(secs => $2)
         ORDER BY changed LIMIT 1";

    /// Every sealed key.
    LIST_SEALED() = "SELECT kid, sealed FROM authy.signing_key ORDER BY kid FOR UPDATE";

    /// Seals a key anew.
    RESEAL(TEXT, BYTEA) = "UPDATE authy.signing_key SET sealed = $2 WHERE kid = $1";

    /// How many passwords are not hashed with this pepper.
    COUNT_OTHER_PEPPERS(TEXT) =
        "SELECT count(*) FROM authy.password JOIN authy.users ON public_id = user_id
         WHERE deleted_at IS NULL AND phc NOT LIKE $1";
}
