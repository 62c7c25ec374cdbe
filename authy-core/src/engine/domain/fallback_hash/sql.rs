//! The statements of fallback hashes.

use crate::engine::storage::statement::statements;

statements! {
    /// Whether a user's password still has this hash, and needs a fallback hash: it has none that can be decrypted, and the
    /// first authy does not have one of this password, from which it was imported, or to which it was exported. The last
    /// parameters are the digest of what an export writes in place of a hash, and the IDs of the master keys.
    NEEDS_ONE(UUID, TEXT, BYTEA, BYTEA_ARRAY) =
        "SELECT 1 FROM authy.password p
         WHERE user_id = $1 AND phc = $2
           AND NOT EXISTS (SELECT FROM authy.fallback_hash f WHERE f.user_id = p.user_id AND f.password_set = p.changed
                             AND substring(f.sealed FROM 1 FOR 4) = ANY ($4))
           AND NOT EXISTS (SELECT FROM authy.import_origin o WHERE o.user_id = p.user_id AND o.password_set = p.changed
                             AND o.of_first_authy AND o.password_digest <> $3)";

    /// Keeps a fallback hash of the password with this hash, unless the password was changed meanwhile. The lock makes a
    /// change wait, which then forgets it.
    KEEP_HASH(UUID, TEXT, BYTEA) =
        "INSERT INTO authy.fallback_hash (user_id, password_set, sealed)
         SELECT user_id, changed, $3 FROM authy.password WHERE user_id = $1 AND phc = $2 FOR NO KEY UPDATE
         ON CONFLICT (user_id) DO UPDATE SET
             password_set = excluded.password_set, sealed = excluded.sealed, created = excluded.created";

    /// Forgets the fallback hashes of users whose passwords have changed in the same transaction.
    FORGET(UUID_ARRAY) = "DELETE FROM authy.fallback_hash WHERE user_id = ANY ($1)";

    /// Forgets all fallback hashes.
    FORGET_ALL() = "DELETE FROM authy.fallback_hash";

    /// The fallback hashes of users who follow an ID that are encrypted with one of these master keys, whose IDs they begin
    /// with.
    LIST_OLDER(BYTEA_ARRAY, UUID, INT8) =
        "SELECT user_id, sealed FROM authy.fallback_hash
         WHERE user_id > $2 AND substring(sealed FROM 1 FOR 4) = ANY ($1) ORDER BY user_id LIMIT $3 FOR UPDATE";

    /// Replaces encrypted fallback hashes.
    RESEAL(UUID_ARRAY, BYTEA_ARRAY) =
        "UPDATE authy.fallback_hash SET sealed = new.sealed
         FROM unnest($1, $2) AS new (id, sealed) WHERE user_id = id";

    /// The number of fallback hashes.
    COUNT() = "SELECT count(*) AS kept FROM authy.fallback_hash";
}
