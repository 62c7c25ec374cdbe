//! The statements of passwords.

use crate::engine::storage::statement::statements;

statements! {
    /// The data of a login by username: of the user who has exactly this spelling as an alias, or else of the one who has
    /// the key. When no user does, the row of the next or the last key is read. All three are looked for every time, so
    /// that an unknown name takes as long as a known one.
    ///
    /// And the counts of failed guesses that can apply: of the account, or else under the key of an unknown name; of the
    /// address; of the device. Attempts older than a number of seconds no longer count as running. Always one row.
    FIND(TEXT, TEXT, TEXT, TEXT, TEXT, FLOAT8) =
        "SELECT clock_timestamp() AS now, coalesce(has_login, false) AS has_login, public_id, validated, phc, changed, ver,
                has_role,
                account.failures, account.counted,
                coalesce(account.pending > 0 AND account.counted > clock_timestamp() - make_interval(secs => $6), false)
                    AS is_pending,
                address.failures AS address_failures, address.counted AS address_counted,
                device.failures AS device_failures, device.counted AS device_counted,
                coalesce(device.pending > 0 AND device.counted > clock_timestamp() - make_interval(secs => $6), false)
                    AS device_is_pending
         FROM (SELECT is_found AND deleted_at IS NULL AND phc IS NOT NULL AS has_login, public_id,
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
                    LEFT JOIN authy.password ON password.user_id = public_id) AS login
              -- There may be no user at all.
              RIGHT JOIN (VALUES (1)) AS always (one) ON true
              LEFT JOIN authy.throttle AS account
                  ON account.key = CASE WHEN has_login THEN 'account:' || public_id ELSE $3 END
              LEFT JOIN authy.throttle AS address ON address.key = $4
              LEFT JOIN authy.throttle AS device ON device.key = $5";

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
