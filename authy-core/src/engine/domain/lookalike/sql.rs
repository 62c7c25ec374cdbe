//! The statements of look-alike names.

use crate::engine::storage::statement::statements;

/// The administrators whose names look like one of these: users with a role of this level or a smaller one.
macro_rules! administrators_who_look_like {
    ($skeletons:literal, $level:literal) => {
        concat!(
            "SELECT 1 FROM authy.administrator_name a WHERE a.skeleton = ANY (",
            $skeletons,
            ") AND EXISTS (SELECT FROM authy.user_role g JOIN authy.role r USING (role_id)
                           WHERE g.user_id = a.user_id AND r.level <= ",
            $level,
            ") LIMIT 1"
        )
    };
}

pub(in crate::engine) use administrators_who_look_like;

statements! {
    /// Whether a name looks like an administrator's.
    LOOKS_LIKE_ADMINISTRATOR(TEXT_ARRAY, INT4) = administrators_who_look_like!("$1", "$2");

    /// Stores the skeletons of an administrator's name by a rule.
    PROTECT(UUID, TEXT_ARRAY, TEXT) =
        "INSERT INTO authy.administrator_name (user_id, skeleton, rule) SELECT $1, unnest($2), $3
         ON CONFLICT (user_id, skeleton) DO UPDATE SET rule = excluded.rule";

    /// Administrators whose skeletons by a rule are not stored.
    ///
    /// The members of each role are read in the order of an index. Otherwise the planner, which does not know the role,
    /// expects as many members as the average role has, and reads the members of all roles.
    LIST_UNPROTECTED(INT4, TEXT, INT8) =
        "SELECT user_id AS public_id, (SELECT username FROM authy.users WHERE public_id = user_id) AS username
         FROM (SELECT role_id FROM authy.role WHERE level <= $1) AS powerful
         CROSS JOIN LATERAL (
             SELECT user_id FROM authy.user_role AS member WHERE member.role_id = powerful.role_id
             ORDER BY granted, user_id OFFSET 0
         ) AS administrator
         WHERE NOT EXISTS (SELECT FROM authy.administrator_name a WHERE a.user_id = administrator.user_id AND a.rule = $2)
         LIMIT $3";

    /// The name of a user, deleted or not.
    FIND_NAME(UUID) = "SELECT username FROM authy.users WHERE public_id = $1";

    /// Deletes the skeletons of users who were erased by an older program.
    FORGET_LOOKALIKES() =
        "DELETE FROM authy.administrator_name WHERE user_id IN (SELECT public_id FROM authy.users WHERE erased_at IS NOT NULL)";
}
