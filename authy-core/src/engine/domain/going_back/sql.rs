//! The statements of an export, on the database of this program.

use crate::engine::storage::statement::statements;

statements! {
    /// The users of one rank who follow an ID, with what an import or an export last knew of them in a source. Those who lose
    /// an address are of rank 0, and those who have confirmed one of rank 1, so that an address is free before its new owner
    /// gets it.
    LIST_USERS(TEXT, INT4, UUID, INT8) =
        "SELECT public_id, username, email, email_key, users.created, last_login, validated_at IS NOT NULL AS validated,
                coalesce(erased_at, deleted_at) AS deleted_at, erased_at IS NOT NULL AS erased,
                password.phc, password.changed AS password_set, sealed,
                ARRAY(SELECT role_id FROM authy.user_role WHERE user_role.user_id = public_id) AS roles,
                source_id, origin.password_digest, origin.email_digest, origin.password_set AS origin_password_set,
                origin.email_written, origin.deleted AS origin_deleted, origin.roles AS origin_roles,
                intent.password_digest AS intent_password_digest, intent.email_digest AS intent_email_digest,
                intent.password_set AS intent_password_set, intent.email_written AS intent_email_written,
                intent.deleted AS intent_deleted, intent.roles AS intent_roles
         FROM authy.users
              LEFT JOIN authy.password ON password.user_id = public_id
              LEFT JOIN authy.fallback_hash AS fallback
                  ON fallback.user_id = public_id AND fallback.password_set = password.changed
              LEFT JOIN authy.import_origin AS origin ON origin.user_id = public_id AND origin.source = $1
              LEFT JOIN authy.export_intent AS intent ON intent.user_id = public_id AND intent.source = $1
         WHERE CASE WHEN erased_at IS NOT NULL OR email_key LIKE 'released:%' THEN 0
                    WHEN validated_at IS NOT NULL THEN 1 ELSE 2 END = $2
           AND public_id > $3
         ORDER BY public_id LIMIT $4";

    /// The number of users.
    COUNT_USERS() = "SELECT count(*) AS total FROM authy.users";

    /// All roles, and whether each has to exist elsewhere, too: it was created here, or somebody has it.
    LIST_ROLES() =
        "SELECT role_id, name, name_key, description, level,
                NOT seeded OR EXISTS (SELECT FROM authy.user_role WHERE user_role.role_id = role.role_id) AS is_needed
         FROM authy.role ORDER BY level";

    /// Whether other users than these have any of these IDs in a source.
    FIND_OTHERS(TEXT, TEXT_ARRAY, UUID_ARRAY) =
        "SELECT 1 FROM unnest($2) AS id CROSS JOIN LATERAL (
             SELECT user_id FROM authy.import_origin WHERE source = $1 AND source_id = id OFFSET 0
         ) AS found WHERE user_id <> ALL ($3) LIMIT 1";

    /// Forgets what users were in a source.
    FORGET_ORIGINS(TEXT, UUID_ARRAY) = "DELETE FROM authy.import_origin WHERE source = $1 AND user_id = ANY ($2)";

    /// Notes what is about to be written about users, in place of what an interrupted export has noted. The roles of a user are
    /// their IDs with commas between.
    NOTE_INTENTS(TEXT, UUID_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, TIMESTAMPTZ_ARRAY, BYTEA_ARRAY, BOOL_ARRAY, TEXT_ARRAY) =
        "INSERT INTO authy.export_intent
             (source, user_id, password_digest, email_digest, password_set, email_written, deleted, roles)
         SELECT $1, id, password_digest, email_digest, password_set, email_written, deleted,
                string_to_array(roles, ',')::integer[]
         FROM unnest($2, $3, $4, $5, $6, $7, $8) AS written
             (id, password_digest, email_digest, password_set, email_written, deleted, roles)
         ON CONFLICT (user_id, source) DO UPDATE SET
             password_digest = excluded.password_digest, email_digest = excluded.email_digest,
             password_set = excluded.password_set, email_written = excluded.email_written,
             deleted = excluded.deleted, roles = excluded.roles";

    /// Forgets what was about to be written about users.
    FORGET_INTENTS(TEXT, UUID_ARRAY) = "DELETE FROM authy.export_intent WHERE source = $1 AND user_id = ANY ($2)";

    /// Some users who were imported or exported.
    LIST_KNOWN(TEXT, INT8) = "SELECT user_id FROM authy.import_origin WHERE source = $1 LIMIT $2";
}
