//! The statements of passwords.

use crate::engine::storage::statement::statements;

statements! {
    /// The data of a login by username: of the user who has exactly this spelling as an alias, or else of the one who has
    /// the key. When no user does, the row of the next or the last key is read. All three are looked for every time, so
    /// that an unknown name takes as long as a known one.
    FIND(TEXT, TEXT) =
        "SELECT is_found, public_id, deleted_at IS NOT NULL AS deleted,
                validated_at IS NOT NULL AS validated, phc, changed, ver,
                EXISTS (SELECT FROM authy.user_role WHERE user_role.user_id = public_id) AS has_role
         FROM (SELECT is_found, public_id, validated_at, deleted_at, ver FROM (
                   (SELECT 1 AS preference, true AS is_found, public_id, validated_at, deleted_at, ver
                    FROM authy.alias JOIN authy.users ON public_id = user_id WHERE spelling = $1)
                   UNION ALL
                   (SELECT 2, username_key = $2, public_id, validated_at, deleted_at, ver
                    FROM authy.users WHERE username_key >= $2 ORDER BY username_key LIMIT 1)
                   UNION ALL
                   (SELECT 3, false, public_id, validated_at, deleted_at, ver
                    FROM authy.users ORDER BY username_key DESC LIMIT 1)
               ) AS candidate ORDER BY preference LIMIT 1) AS nearest
              LEFT JOIN authy.password ON password.user_id = public_id";

    /// The password hash of a user who is not deleted.
    FIND_PASSWORD(UUID) =
        "SELECT phc FROM authy.password JOIN authy.users ON public_id = user_id
         WHERE user_id = $1 AND deleted_at IS NULL";

    /// Replaces a password hash, unless the password was changed meanwhile.
    REHASH(UUID, TEXT, TEXT) = "UPDATE authy.password SET phc = $3 WHERE user_id = $1 AND phc = $2";

    /// The number of hashes that are neither argon2 nor wrapped by it.
    COUNT_FOREIGN() =
        "SELECT count(*) FROM authy.password WHERE phc NOT LIKE '$argon2%' AND phc NOT LIKE '$authy-wrap$%'";

    /// Those hashes, of the next users after an ID.
    LIST_FOREIGN(UUID, INT8) =
        "SELECT user_id, phc FROM authy.password
         WHERE user_id > $1 AND phc NOT LIKE '$argon2%' AND phc NOT LIKE '$authy-wrap$%'
         ORDER BY user_id LIMIT $2";

    /// Replaces password hashes, except those that were changed meanwhile.
    WRAP(UUID_ARRAY, TEXT_ARRAY, TEXT_ARRAY) =
        "UPDATE authy.password SET phc = wrapped.phc
         FROM unnest($1, $2, $3) AS wrapped (user_id, old, phc)
         WHERE password.user_id = wrapped.user_id AND password.phc = wrapped.old";
}
