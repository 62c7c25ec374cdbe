//! The statements of passwords.

use crate::engine::storage::statement::statements;

statements! {
    /// What a login needs to know of a name. Where nobody has it, it is the next one's, or the last one's, that is read: to
    /// find nobody takes as long as to find somebody.
    FIND(TEXT) =
        "SELECT username_key = $1 AS is_found, public_id, deleted_at IS NOT NULL AS deleted,
                validated_at IS NOT NULL AS validated, phc, changed, ver,
                EXISTS (SELECT FROM authy.user_role WHERE user_role.user_id = public_id) AS has_role
         FROM ((SELECT public_id, username_key, validated_at, deleted_at, ver
                FROM authy.users WHERE username_key >= $1 ORDER BY username_key LIMIT 1)
               UNION ALL
               (SELECT public_id, username_key, validated_at, deleted_at, ver
                FROM authy.users ORDER BY username_key DESC LIMIT 1)
               LIMIT 1) AS nearest
              LEFT JOIN authy.password ON password.user_id = public_id";

    /// The password's hash of a user who was not deleted.
    FIND_PASSWORD(UUID) =
        "SELECT phc FROM authy.password JOIN authy.users ON public_id = user_id
         WHERE user_id = $1 AND deleted_at IS NULL";

    /// Replaces a password's hash, unless somebody changed the password meanwhile.
    REHASH(UUID, TEXT, TEXT) = "UPDATE authy.password SET phc = $3 WHERE user_id = $1 AND phc = $2";
}
