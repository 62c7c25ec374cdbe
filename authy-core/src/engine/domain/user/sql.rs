//! The statements of users and their passwords.

use crate::engine::{
    domain::{alias::sql::user_named, epoch::sql::next_epoch, lookalike::sql::administrators_who_look_like},
    storage::statement::statements,
};

/// The columns of a user that are shown.
macro_rules! user_columns {
    () => {
        "public_id, username, email, created, last_login, validated_at, deleted_at"
    };
}

/// Users, with these columns, from a query in this order, with their roles, and with the state of the first delivery about
/// each to the sink whose status is shown: that of the delivery, or `waiting` when the sink's cursor is older than the
/// user, who was not imported. The users are selected first, so that only the roles and deliveries of the shown ones are
/// looked up.
macro_rules! shown_users {
    ($columns:expr, $users:expr, $order:expr) => {
        concat!(
            "SELECT ",
            $columns,
            ", roles, level, coalesce(
                 (SELECT d.state FROM authy.delivery d
                  WHERE d.shows_status AND d.subject = public_id ORDER BY d.happened LIMIT 1),
                 (SELECT 'waiting' FROM authy.event_cursor c WHERE c.shows_status AND c.begun <= created
                  AND NOT EXISTS (SELECT FROM authy.import_origin o WHERE o.user_id = public_id) LIMIT 1)
             ) AS details
             FROM (",
            $users,
            ") AS picked
             CROSS JOIN LATERAL (
                 SELECT coalesce(array_agg(name ORDER BY role.level), '{}') AS roles, min(role.level) AS level
                 FROM authy.user_role JOIN authy.role USING (role_id) WHERE user_role.user_id = public_id
             ) AS granted
             ORDER BY ",
            $order
        )
    };
}

/// One user, as shown.
macro_rules! user_view {
    ($condition:expr) => {
        shown_users!(
            user_columns!(),
            concat!("SELECT ", user_columns!(), " FROM authy.users WHERE ", $condition),
            "public_id"
        )
    };
}

/// The user with the ID, name and address $1 to $5, unless the name looks like that of an administrator with a level, or an
/// alias has its key.
macro_rules! new_user {
    ($validated_at:literal, $skeletons:literal, $level:literal, $rest:literal) => {
        concat!(
            "INSERT INTO authy.users (public_id, username, username_key, email, email_key, validated_at)
             SELECT $1, $2, $3, $4, $5, ",
            $validated_at,
            " WHERE NOT EXISTS (",
            administrators_who_look_like!($skeletons, $level),
            ") AND NOT EXISTS (SELECT FROM authy.alias WHERE spelling_key = $3)",
            $rest
        )
    };
}

pub(in crate::engine) use {shown_users, user_columns};

statements! {
    /// Creates a user, with a vouched-for address or not, unless the name looks like an administrator's, or an alias has
    /// its key.
    CREATE(UUID, TEXT, TEXT, TEXT, TEXT, BOOL, TEXT_ARRAY, INT4) = new_user!("CASE WHEN $6 THEN now() END", "$7", "$8", "");

    /// Signs up a user: the user as above, with a password, a role by its key and a code that confirms the address, and the
    /// event. Returns no row, and writes nothing, when the name looks like an administrator's, when there is no such role, and when
    /// its level makes administrators, whose names have to be protected, too.
    ///
    /// The role is protected from deletion, as the foreign key does after it. The name has one skeleton or two; an array of unknown
    /// length would make PostgreSQL plan the statement each time.
    REGISTER(UUID, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, INT4, TEXT, TEXT, UUID, TEXT, FLOAT8,
             UUID, TEXT, TEXT, INET, TEXT, TEXT, JSONB) = concat!(
        "WITH role AS (
             SELECT role_id FROM authy.role WHERE name_key = $10 AND level > $8 FOR KEY SHARE
         ), made AS (",
        new_user!("NULL::timestamptz", "ARRAY[$6, $7]", "$8", " AND EXISTS (SELECT FROM role) RETURNING public_id"),
        "), password AS (
             INSERT INTO authy.password (user_id, phc) SELECT public_id, $9 FROM made
         ), granted AS (
             INSERT INTO authy.user_role (user_id, role_id) SELECT public_id, role_id FROM made, role
         ), code AS (
             INSERT INTO authy.code (code_id, user_id, purpose, email, email_key, expires)
             SELECT $11, public_id, $12, $4, $5, now() + make_interval(secs => $13) FROM made
         ), event AS (
             INSERT INTO authy.event (event_id, kind, origin, subject, ip, user_agent, request_id, detail)
             SELECT $14, $15, $16, public_id, $17, $18, $19, $20 FROM made
         )
         SELECT 1 FROM made"
    );

    /// Creates users of an earlier system as they are: their names and addresses with the keys of these, and the times of
    /// their creation, last login, confirmation and deletion. Returns the IDs of the created ones. Nobody is created
    /// whose ID or key, or confirmed address, is taken.
    CREATE_STORED(UUID_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY,
                  TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY) =
        "INSERT INTO authy.users
             (public_id, username, username_key, email, email_key, created, last_login, validated_at, deleted_at)
         SELECT public_id, username, username_key, email, email_key, created, last_login, validated_at, deleted_at
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS stored
             (public_id, username, username_key, email, email_key, created, last_login, validated_at, deleted_at)
         ON CONFLICT DO NOTHING RETURNING public_id";

    /// Stores the first password of a user.
    CREATE_PASSWORD(UUID, TEXT) = "INSERT INTO authy.password (user_id, phc) VALUES ($1, $2)";

    /// A user, deleted or not, who has a name or an address in any of these forms; of two, the one with the name. An
    /// address is taken once it is confirmed.
    FIND_TAKEN(TEXT_ARRAY, TEXT_ARRAY) =
        "SELECT has_name FROM (
             SELECT username_key = ANY ($1) AS has_name FROM authy.users
             WHERE username_key = ANY ($1)
                OR (email_key = ANY ($2) AND (validated_at IS NOT NULL OR erased_at IS NOT NULL))
             UNION ALL
             SELECT true FROM authy.alias WHERE spelling_key = ANY ($1)
         ) AS taken
         ORDER BY has_name DESC LIMIT 1";

    /// Deletes the skeletons of a user's name.
    ERASE_LOOKALIKES(UUID) = "DELETE FROM authy.administrator_name WHERE user_id = $1";

    /// Whether there is an administrator with a role of this level or a smaller one, or a user who was not imported: then
    /// the database needs no first administrator.
    HAS_ADMINISTRATOR(INT4) =
        "SELECT 1 FROM authy.user_role JOIN authy.role USING (role_id) JOIN authy.users ON public_id = user_id
         WHERE level <= $1 AND deleted_at IS NULL
         UNION ALL
         SELECT 1 FROM authy.users
         WHERE NOT EXISTS (SELECT FROM authy.import_origin WHERE user_id = public_id)
         LIMIT 1";

    /// The most powerful administrator, with a role of this level or a smaller one, when none has a password.
    FIND_LOCKED_OUT(INT4) =
        "WITH administrator AS (
             SELECT public_id, username, level
             FROM authy.user_role JOIN authy.role USING (role_id) JOIN authy.users ON public_id = user_id
             WHERE level <= $1 AND deleted_at IS NULL
         )
         SELECT username FROM administrator
         WHERE NOT EXISTS (SELECT FROM administrator JOIN authy.password ON user_id = public_id)
         ORDER BY level, public_id LIMIT 1";

    /// Whether any user exists.
    ANY() = "SELECT 1 FROM authy.users LIMIT 1";

    /// Lets one instance at a time create the first user.
    LOCK_FIRST() = "SELECT pg_advisory_xact_lock(418313730682)";

    /// One user.
    FIND(UUID) = user_view!("public_id = $1");

    /// What users are shown of their own accounts, by the primary key alone: it is read often.
    LIST_OWN(UUID_ARRAY) =
        "SELECT public_id, username, email, created, last_login FROM authy.users WHERE public_id = ANY ($1)";

    /// The user whom a spelling with a key means, deleted or not.
    FIND_NAMED(TEXT, TEXT) = user_view!(concat!("public_id = ", user_named!("$1", "$2")));

    /// The username of a user who is not deleted.
    FIND_USERNAME(UUID) = "SELECT username FROM authy.users WHERE public_id = $1 AND deleted_at IS NULL";

    /// The ID of the user whom a spelling with a key means, unless deleted.
    FIND_ID(TEXT, TEXT) = concat!(
        "SELECT public_id FROM authy.users WHERE deleted_at IS NULL AND public_id = ",
        user_named!("$1", "$2")
    );

    /// Marks a user as deleted.
    DELETE(UUID) = "UPDATE authy.users SET deleted_at = now() WHERE public_id = $1";

    /// Restores a deleted user.
    RESTORE(UUID) = "UPDATE authy.users SET deleted_at = NULL WHERE public_id = $1";

    /// The state of a user's account before its change.
    FIND_ACCOUNT(UUID) =
        "SELECT username, email, deleted_at IS NOT NULL AS deleted, phc,
                (SELECT min(level) FROM authy.user_role JOIN authy.role USING (role_id)
                 WHERE user_role.user_id = public_id) AS level
         FROM authy.users LEFT JOIN authy.password ON password.user_id = public_id WHERE public_id = $1";

    /// Whether a user's session was opened by a login at most a number of seconds ago.
    IS_RECENT(UUID, UUID, FLOAT8) =
        "SELECT 1 FROM authy.session
         WHERE session_id = $1 AND user_id = $2 AND ended_at IS NULL AND NOT issued
           AND created > clock_timestamp() - make_interval(secs => $3)";

    /// Whether a user's password still has this hash.
    HAS_PASSWORD(UUID, TEXT) = "SELECT 1 FROM authy.password WHERE user_id = $1 AND phc = $2";

    /// Sets a user's password.
    SET_PASSWORD(UUID, TEXT) =
        "INSERT INTO authy.password (user_id, phc) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET phc = excluded.phc, changed = now()";

    /// The level of the most powerful user who has an address and has not confirmed it.
    FIND_CLAIMANT_LEVEL(TEXT) =
        "SELECT min(level) AS level
         FROM authy.users JOIN authy.user_role ON user_id = public_id JOIN authy.role USING (role_id)
         WHERE email_key = $1 AND validated_at IS NULL AND erased_at IS NULL";

    /// Locks all users with an address, and one user, in the order of their IDs.
    LOCK_CLAIMS(UUID, TEXT) =
        "SELECT 1 FROM authy.users WHERE public_id = $1 OR email_key = $2 ORDER BY public_id FOR UPDATE";

    /// Removes an address from users other than this one who have not confirmed it, including deleted ones: from the
    /// newest, up to a maximum. Returns their new epochs.
    RELEASE(UUID, TEXT, TEXT, TEXT, INT8) = concat!(
        "UPDATE authy.users SET email = $3, email_key = $4 || public_id, ver = ", next_epoch!(), "
         WHERE public_id IN (
             SELECT public_id FROM authy.users
             WHERE email_key = $2 AND public_id <> $1 AND validated_at IS NULL AND erased_at IS NULL
             ORDER BY created DESC LIMIT $5
         )
         RETURNING public_id, ver"
    );

    /// Another user who has an address in any of these forms.
    FIND_OWNER(TEXT_ARRAY, UUID) =
        "SELECT public_id, username, email, deleted_at IS NOT NULL AS deleted
         FROM authy.users
         WHERE email_key = ANY ($1) AND public_id <> $2 AND (validated_at IS NOT NULL OR erased_at IS NOT NULL) LIMIT 1";

    /// Sets a confirmed address.
    SET_EMAIL(UUID, TEXT, TEXT) =
        "UPDATE authy.users SET email = $2, email_key = $3, validated_at = now() WHERE public_id = $1";

    /// Confirms an address, unless the user no longer has it.
    VALIDATE(UUID, TEXT) =
        "UPDATE authy.users SET validated_at = coalesce(validated_at, now()) WHERE public_id = $1 AND email_key = $2";

    /// Whether a user's address is confirmed, whether another account has confirmed it first, and the number of events
    /// of a kind about the user within the last hour.
    FIND_VALIDATION(UUID, TEXT) =
        "SELECT email, validated_at IS NOT NULL AS validated,
                email_key LIKE 'released:%' OR EXISTS (
                    SELECT FROM authy.users AS other
                    WHERE other.email_key = users.email_key AND other.public_id <> $1
                      AND other.validated_at IS NOT NULL) AS lost,
                (SELECT count(*) FROM authy.event
                 WHERE subject = public_id AND kind = $2 AND happened > now() - interval '1 hour') AS sent
         FROM authy.users WHERE public_id = $1";

    /// The address for notices to a user, and whether the user has a password. No row when another account has confirmed
    /// it first.
    FIND_ADDRESS(UUID) =
        "SELECT username, email, validated_at IS NOT NULL AS validated,
                EXISTS (SELECT FROM authy.password WHERE user_id = public_id) AS has_password
         FROM authy.users
         WHERE public_id = $1 AND deleted_at IS NULL AND email_key NOT LIKE 'released:%'
           AND (validated_at IS NOT NULL OR NOT EXISTS (
                    SELECT FROM authy.users AS other
                    WHERE other.email_key = users.email_key AND other.public_id <> $1
                      AND other.validated_at IS NOT NULL))";

    /// The account of a valid code that sets a password.
    FIND_RESET(UUID) =
        "SELECT username, EXISTS (SELECT FROM authy.password WHERE password.user_id = public_id) AS has_password
         FROM authy.code JOIN authy.users ON public_id = code.user_id
         WHERE code_id = $1 AND purpose = 'reset' AND expires > now() AND deleted_at IS NULL";

    /// The usernames of users, deleted or not. An erased user has none.
    LIST_USERNAMES(UUID_ARRAY) =
        "SELECT public_id, username FROM authy.users WHERE public_id = ANY ($1) AND erased_at IS NULL";

    /// The forms of a user's name and address that are used for comparison.
    FIND_KEYS(UUID) =
        "SELECT username_key, email_key, validated_at IS NOT NULL AS validated FROM authy.users WHERE public_id = $1";

    /// Replaces the personal data of a user.
    ERASE(UUID, TEXT, TEXT, TEXT, TEXT) =
        "UPDATE authy.users
         SET username = $2, username_key = $3, email = $4, email_key = $5, last_login = NULL, validated_at = NULL,
             deleted_at = coalesce(deleted_at, now()), erased_at = now()
         WHERE public_id = $1";

    /// Deletes a user's password.
    ERASE_PASSWORD(UUID) = "DELETE FROM authy.password WHERE user_id = $1";

    /// Deletes a user's roles.
    ERASE_ROLES(UUID) = "DELETE FROM authy.user_role WHERE user_id = $1";

    /// Deletes the IP addresses and user agents of a user's sessions. The rows remain until their tokens have expired,
    /// to revoke them.
    ERASE_SESSIONS(UUID) = "UPDATE authy.session SET ip = NULL, user_agent = NULL WHERE user_id = $1";

    /// Deletes the error messages of mail servers about a user's mailbox, because they contain its address.
    ERASE_DELIVERIES(UUID) =
        "UPDATE authy.delivery SET error = NULL WHERE subject = $1 AND state <> 'delivered' AND error IS NOT NULL";

    /// Deletes the IP addresses and user agents of a user's actions. Actions of others on the user stay unchanged.
    ERASE_CLIENT_INFO(UUID) =
        "UPDATE authy.event SET ip = NULL, user_agent = NULL
         WHERE (actor = $1 OR (subject = $1 AND actor IS NULL)) AND (ip IS NOT NULL OR user_agent IS NOT NULL)";

    /// Forgets what an interrupted export was about to write about an erased user. The row stays, so that the next export knows
    /// that it may have created the user, and erases it there, too.
    ERASE_INTENT(UUID) =
        "UPDATE authy.export_intent
         SET password_digest = NULL, email_digest = NULL, email_written = NULL WHERE user_id = $1";

    /// Where a user without an ID there was imported from: the ID is the digest of the name.
    LIST_NAMED_ORIGINS(UUID) =
        "SELECT source, source_id FROM authy.import_origin WHERE user_id = $1 AND source_id LIKE 'name:%'";

    /// Replaces the ID of an erased user in a source.
    RENAME_ORIGIN(TEXT, TEXT, TEXT) =
        "UPDATE authy.import_origin SET source_id = $3 WHERE source = $1 AND source_id = $2";

    /// Forgets what an erased user was in the source of an import. The row stays, so that no import brings the user back.
    ERASE_ORIGIN(UUID) =
        "UPDATE authy.import_origin
         SET digest = NULL, password_digest = NULL, email_digest = NULL, email_written = NULL WHERE user_id = $1";
}
