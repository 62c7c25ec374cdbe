//! The statements of fallback hashes.

use crate::engine::storage::statement::statements;

statements! {
    /// Whether a user's password still has this hash, and needs a fallback hash: it has none, and the first authy does not have
    /// one of this password, from which it was imported, or to which it was exported. The last parameter is the digest of what
    /// an export writes in place of a hash.
    NEEDS_ONE(UUID, TEXT, BYTEA) =
        "SELECT 1 FROM authy.password p
         WHERE user_id = $1 AND phc = $2
           AND NOT EXISTS (SELECT FROM authy.fallback_hash f WHERE f.user_id = p.user_id AND f.password_set = p.changed)
           AND NOT EXISTS (SELECT FROM authy.import_origin o WHERE o.user_id = p.user_id AND o.password_set = p.changed
                             AND o.password_digest <> $3)";

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

    /// The number of fallback hashes.
    COUNT() = "SELECT count(*) AS kept FROM authy.fallback_hash";
}
