//! The statements of users and their passwords.

use crate::engine::statements::statements;

macro_rules! user_view {
    ($rest:literal) => {
        concat!(
            "SELECT public_id, username, email, created, last_login, validated_at, deleted_at FROM authy.users ",
            $rest
        )
    };
}

statements! {
    /// Makes a user.
    CREATE(UUID, TEXT, TEXT, TEXT, TEXT) =
        "INSERT INTO authy.users (public_id, username, username_key, email, email_key) VALUES ($1, $2, $3, $4, $5)";

    /// Gives a user a first password.
    CREATE_PASSWORD(UUID, TEXT) = "INSERT INTO authy.password (user_id, phc) VALUES ($1, $2)";

    /// Replaces a password's hash, unless somebody changed the password meanwhile.
    REHASH(UUID, TEXT, TEXT) = "UPDATE authy.password SET phc = $3 WHERE user_id = $1 AND phc = $2";

    /// Whether a name or an address is taken, by deleted users too.
    IS_TAKEN(TEXT, TEXT) = "SELECT 1 FROM authy.users WHERE username_key = $1 OR email_key = $2 LIMIT 1";

    /// Whether there is any user.
    ANY() = "SELECT 1 FROM authy.users LIMIT 1";

    /// Lets one instance at a time make the first user.
    LOCK_FIRST() = "SELECT pg_advisory_xact_lock(418313730682)";

    /// One user.
    FIND(UUID) = user_view!("WHERE public_id = $1");

    /// The name of a user who was not deleted.
    FIND_USERNAME(UUID) = "SELECT username FROM authy.users WHERE public_id = $1 AND deleted_at IS NULL";

    /// The user of a name, unless deleted.
    FIND_ID(TEXT) = "SELECT public_id FROM authy.users WHERE username_key = $1 AND deleted_at IS NULL";

    /// A page of users.
    LIST(INT8, INT8) = user_view!("ORDER BY created, public_id LIMIT $1 OFFSET $2");

    /// How many users there are.
    COUNT() = "SELECT count(*) FROM authy.users";

    /// A page of the users whose name or address begins so: two ranges, each from the prefix to just before the next.
    SEARCH(TEXT, TEXT, TEXT, TEXT, INT8, INT8) = user_view!(
        "WHERE (username_key >= $1 AND username_key < $2) OR (email_key >= $3 AND email_key < $4)
         ORDER BY created, public_id LIMIT $5 OFFSET $6"
    );

    /// How many users the search finds.
    COUNT_FOUND(TEXT, TEXT, TEXT, TEXT) =
        "SELECT count(*) FROM authy.users
         WHERE (username_key >= $1 AND username_key < $2) OR (email_key >= $3 AND email_key < $4)";

    /// A user, held until the transaction ends.
    LOCK(UUID) =
        "SELECT deleted_at, (SELECT min(level) FROM authy.user_role JOIN authy.role USING (role_id)
                             WHERE user_id = public_id) AS level
         FROM authy.users WHERE public_id = $1 FOR UPDATE";

    /// Begins a new epoch: every older token of the user is void.
    BEGIN_EPOCH(UUID) = "UPDATE authy.users SET ver = ver + 1 WHERE public_id = $1 RETURNING ver";

    /// Deletes a user, as far as a user is ever deleted.
    DELETE(UUID) = "UPDATE authy.users SET deleted_at = now() WHERE public_id = $1";

    /// What a login needs to know, and a session a lock on.
    FIND_CREDENTIALS(TEXT) =
        "SELECT public_id, deleted_at IS NOT NULL AS deleted, phc, ver,
                EXISTS (SELECT FROM authy.user_role WHERE user_role.user_id = public_id) AS has_role
         FROM authy.users LEFT JOIN authy.password ON password.user_id = public_id WHERE username_key = $1";
}
