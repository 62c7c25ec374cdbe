//! The statements of aliases.

use crate::engine::storage::statement::statements;

/// The ID of the user whom a name means, deleted or not: the owner of exactly this spelling, or else of its key.
macro_rules! user_named {
    ($spelling:literal, $key:literal) => {
        concat!(
            "coalesce((SELECT user_id FROM authy.alias WHERE spelling = ",
            $spelling,
            "), (SELECT public_id FROM authy.users WHERE username_key = ",
            $key,
            "))"
        )
    };
}

pub(in crate::engine) use user_named;

statements! {
    /// Adds aliases: their spellings, their users, and the keys of the spellings. A spelling never changes its user:
    /// returns only those that were added.
    ADD(TEXT_ARRAY, UUID_ARRAY, TEXT_ARRAY) =
        "INSERT INTO authy.alias (spelling, user_id, spelling_key)
         SELECT spelling, user_id, spelling_key FROM unnest($1, $2, $3) AS added (spelling, user_id, spelling_key)
         ON CONFLICT (spelling) DO NOTHING RETURNING spelling";

    /// A user's aliases.
    LIST_OF_USER(UUID) = "SELECT spelling, spelling_key FROM authy.alias WHERE user_id = $1";

    /// Replaces an alias and its key.
    ERASE(TEXT, TEXT, TEXT) = "UPDATE authy.alias SET spelling = $2, spelling_key = $3 WHERE spelling = $1";
}
