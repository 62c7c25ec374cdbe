//! The statements of an import. Each is about a whole batch.
//!
//! Rows are looked up one by one in an index, by `LATERAL` and `OFFSET 0`, which the planner leaves as they are. Otherwise it reads
//! whole tables for each batch: their statistics are older than the rows that the import itself has written.

use crate::engine::{domain::epoch::sql::next_epoch, storage::statement::statements};

statements! {
    /// All roles.
    LIST_ROLES() = "SELECT role_id, name, name_key, level FROM authy.role ORDER BY level";

    /// Whether any user was erased.
    ANY_ERASED() = "SELECT 1 FROM authy.users WHERE erased_at IS NOT NULL LIMIT 1";

    /// What earlier imports wrote about users of a source.
    FIND_ORIGINS(TEXT, TEXT_ARRAY) =
        "SELECT found.* FROM unnest($2) AS wanted CROSS JOIN LATERAL (
             SELECT source_id, user_id, digest, password_digest, email_digest, password_set, email_written, deleted, roles
             FROM authy.import_origin WHERE source = $1 AND source_id = wanted OFFSET 0
         ) AS found";

    /// Which of these IDs, keys of names, keys of addresses and spellings are taken: an address as that of an owner, who
    /// has confirmed it, or not, and then with what a note calls that user: the ID in this source, the name of a row without an ID, or
    /// else the public ID.
    FIND_TAKEN(UUID_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT) =
        "SELECT 'id' AS what, public_id::text AS value, NULL::text AS holder
         FROM unnest($1) AS id CROSS JOIN LATERAL (SELECT public_id FROM authy.users WHERE public_id = id OFFSET 0) AS found
         UNION ALL
         SELECT unnest(ARRAY['key', 'spelling']), unnest(ARRAY[username_key, username]), NULL
         FROM unnest($2) AS key
         CROSS JOIN LATERAL (SELECT username_key, username FROM authy.users WHERE username_key = key OFFSET 0) AS found
         UNION ALL
         SELECT 'key', spelling_key, NULL FROM unnest($2) AS key
         CROSS JOIN LATERAL (SELECT spelling_key FROM authy.alias WHERE spelling_key = key OFFSET 0) AS found
         UNION ALL
         SELECT 'spelling', spelling, NULL FROM unnest($4) AS typed
         CROSS JOIN LATERAL (SELECT spelling FROM authy.alias WHERE spelling = typed OFFSET 0) AS found
         UNION ALL
         SELECT CASE WHEN validated_at IS NULL AND erased_at IS NULL THEN 'email' ELSE 'owned email' END, email_key, holder
         FROM unnest($3) AS key
         CROSS JOIN LATERAL (
             SELECT email_key, validated_at, erased_at, coalesce(
                 (SELECT CASE WHEN source_id LIKE 'name:%' THEN username ELSE source_id END
                  FROM authy.import_origin WHERE user_id = public_id AND source = $5 LIMIT 1), public_id::text
             ) AS holder
             FROM authy.users WHERE email_key = key OFFSET 0
         ) AS found";

    /// Stores the passwords of new users.
    CREATE_PASSWORDS(UUID_ARRAY, TEXT_ARRAY) =
        "INSERT INTO authy.password (user_id, phc) SELECT * FROM unnest($1, $2)";

    /// Grants roles.
    GRANT(UUID_ARRAY, INT4_ARRAY) =
        "INSERT INTO authy.user_role (user_id, role_id) SELECT * FROM unnest($1, $2) ON CONFLICT DO NOTHING";

    /// Stores where users come from, and what was written, or replaces what an earlier import wrote. The roles of a user
    /// are their IDs with commas between. The time of a password that is written is that of the transaction.
    SET_ORIGINS(TEXT, TEXT_ARRAY, UUID_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, TIMESTAMPTZ_ARRAY, BOOL_ARRAY,
                BYTEA_ARRAY, BOOL_ARRAY, TEXT_ARRAY, BOOL) =
        "INSERT INTO authy.import_origin
             (source, source_id, user_id, digest, password_digest, email_digest, password_set, email_written, deleted,
              roles, of_first_authy)
         SELECT $1, source_id, user_id, digest, password_digest, email_digest, CASE WHEN sets_password THEN now() ELSE password_set END,
                email_written, deleted, string_to_array(roles, ',')::integer[], $12
         FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS written
             (source_id, user_id, digest, password_digest, email_digest, password_set, sets_password, email_written,
              deleted, roles)
         ON CONFLICT (source, source_id) DO UPDATE SET
             digest = excluded.digest, password_digest = excluded.password_digest, email_digest = excluded.email_digest,
             password_set = excluded.password_set, email_written = excluded.email_written,
             deleted = excluded.deleted, roles = excluded.roles,
             of_first_authy = excluded.of_first_authy";

    /// Writes an event of one kind about each of these users, by the operator.
    APPEND(UUID_ARRAY, UUID_ARRAY, TEXT_ARRAY, TEXT, TEXT, INET, TEXT, TEXT) =
        "INSERT INTO authy.event (event_id, kind, origin, subject, ip, user_agent, request_id, detail)
         SELECT event_id, $4, $5, subject, $6, $7, $8, detail::jsonb
         FROM unnest($1, $2, $3) AS written (event_id, subject, detail)";

    /// Locks users in the order of their IDs.
    LOCK(UUID_ARRAY) =
        "SELECT 1 FROM (SELECT DISTINCT unnest($1) AS id ORDER BY id) AS wanted
         CROSS JOIN LATERAL (SELECT 1 FROM authy.users WHERE public_id = id FOR UPDATE OFFSET 0) AS locked";

    /// The present state of locked users.
    FIND_STATES(UUID_ARRAY) =
        "SELECT found.* FROM unnest($1) AS id CROSS JOIN LATERAL (
             SELECT public_id, username, email_key, created, last_login, validated_at IS NOT NULL AS validated,
                    deleted_at IS NOT NULL AS deleted, erased_at IS NOT NULL AS erased,
                    (SELECT changed FROM authy.password WHERE password.user_id = public_id) AS password_changed,
                    ARRAY(SELECT role_id FROM authy.user_role WHERE user_role.user_id = public_id) AS roles
             FROM authy.users WHERE public_id = id OFFSET 0
         ) AS found";

    /// Which of these keys of addresses are taken, and by whom: an owner, who has confirmed it, or not; and what a note calls
    /// each, as above.
    FIND_EMAILS(TEXT_ARRAY, TEXT) =
        "SELECT found.* FROM (SELECT DISTINCT unnest($1) AS key) AS wanted CROSS JOIN LATERAL (
             SELECT email_key, public_id, validated_at IS NOT NULL OR erased_at IS NOT NULL AS is_owner, coalesce(
                 (SELECT CASE WHEN source_id LIKE 'name:%' THEN username ELSE source_id END
                  FROM authy.import_origin WHERE user_id = public_id AND source = $2 LIMIT 1), public_id::text
             ) AS holder
             FROM authy.users WHERE email_key = key OFFSET 0
         ) AS found";

    /// The number of hashes that the next statement lists.
    COUNT_FOREIGN(TEXT) =
        "SELECT count(*) AS found FROM authy.password
         WHERE phc NOT LIKE '$argon2%' AND phc NOT LIKE '$authy-wrap$%'
           AND EXISTS (SELECT FROM authy.import_origin AS origin WHERE origin.user_id = password.user_id AND source = $1)";

    /// The hashes of other programs, except those of argon2, of the next users of a source after an ID.
    LIST_FOREIGN(TEXT, UUID, INT8) =
        "SELECT user_id, phc FROM authy.password
         WHERE user_id > $2 AND phc NOT LIKE '$argon2%' AND phc NOT LIKE '$authy-wrap$%'
           AND EXISTS (SELECT FROM authy.import_origin AS origin WHERE origin.user_id = password.user_id AND source = $1)
         ORDER BY user_id LIMIT $3";

    /// Changes users. What is NULL stays, except that a deletion may be taken back; a new epoch revokes older tokens. Those of the
    /// earlier system go on where nobody has logged in here: it has not revoked them either, and otherwise everybody for whom
    /// anything changed there before the switch would lose them.
    UPDATE(UUID_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TIMESTAMPTZ_ARRAY,
           TIMESTAMPTZ_ARRAY, BOOL_ARRAY, BOOL_ARRAY) = concat!(
        "UPDATE authy.users SET
             created = coalesce(new_created, created), last_login = coalesce(new_last_login, last_login),
             email = coalesce(new_email, email), email_key = coalesce(new_email_key, email_key),
             validated_at = CASE WHEN new_email IS NULL THEN coalesce(new_validated_at, validated_at)
                                 ELSE new_validated_at END,
             deleted_at = CASE WHEN is_restored THEN NULL ELSE coalesce(new_deleted_at, deleted_at) END,
             legacy_ver = CASE WHEN begins_epoch AND ver = coalesce(legacy_ver, 1)
                                    AND NOT EXISTS (SELECT FROM authy.session WHERE user_id = public_id)
                               THEN ", next_epoch!(), " ELSE legacy_ver END,
             ver = CASE WHEN begins_epoch THEN ", next_epoch!(), " ELSE ver END
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS new
             (id, new_created, new_last_login, new_email, new_email_key, new_validated_at, new_deleted_at, is_restored,
              begins_epoch)
         WHERE public_id = id"
    );

    /// Sets passwords.
    SET_PASSWORDS(UUID_ARRAY, TEXT_ARRAY) =
        "INSERT INTO authy.password (user_id, phc) SELECT * FROM unnest($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET phc = excluded.phc, changed = now()";

    /// Removes passwords.
    REMOVE_PASSWORDS(UUID_ARRAY) = "DELETE FROM authy.password WHERE user_id = ANY ($1)";

    /// Revokes roles.
    REVOKE_ROLES(UUID_ARRAY, INT4_ARRAY) =
        "DELETE FROM authy.user_role
         WHERE (user_id, role_id) IN (SELECT user_id, role_id FROM unnest($1, $2) AS revoked (user_id, role_id))";

    /// Revokes all codes of users.
    REVOKE_CODES(UUID_ARRAY) = "DELETE FROM authy.code WHERE user_id = ANY ($1)";

    /// Ends all sessions of users.
    END_SESSIONS(UUID_ARRAY) =
        "UPDATE authy.session SET ended_at = now() WHERE user_id = ANY ($1) AND ended_at IS NULL";

    /// Revokes the tokens of users of older epochs than the present ones, where any has not expired or is being issued.
    REVOKE_USERS(UUID_ARRAY) =
        "INSERT INTO authy.revocation (user_id, ver, until)
         SELECT user_id, ver, greatest(max(access_until), now() + max(access_until - last_used)) + interval '1 minute'
         FROM authy.session JOIN authy.users ON public_id = user_id
         WHERE user_id = ANY ($1)
           AND (access_until > now() - interval '1 minute' OR (ended_at IS NULL AND expires > now()))
         GROUP BY user_id, ver";
}
