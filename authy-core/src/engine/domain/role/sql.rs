//! The statements of roles.

use crate::engine::storage::statement::statements;

statements! {
    /// All roles.
    LIST() = "SELECT name, description, level FROM authy.role ORDER BY level LIMIT 1000";

    /// A role by its name.
    FIND(TEXT) = "SELECT role_id, name, description, level FROM authy.role WHERE name_key = $1";

    /// The ID of a role.
    FIND_ID(TEXT) = "SELECT role_id FROM authy.role WHERE name_key = $1";

    /// A role by its name, locked until the transaction ends.
    LOCK(TEXT) = "SELECT role_id, level, seeded FROM authy.role WHERE name_key = $1 FOR UPDATE";

    /// A role by its name, protected from deletion until the transaction ends.
    SHARE(TEXT) = "SELECT role_id, level FROM authy.role WHERE name_key = $1 FOR KEY SHARE";

    /// Creates a role, unless the name or the level is taken.
    CREATE(TEXT, TEXT, TEXT, INT4) =
        "INSERT INTO authy.role (name, name_key, description, level) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

    /// Deletes a role, including the grants of deleted users.
    DELETE(INT4) = "DELETE FROM authy.role WHERE role_id = $1";

    /// Whether a user who is not deleted has the role.
    IS_HELD(INT4) =
        "SELECT 1 FROM authy.user_role JOIN authy.users ON public_id = user_id
         WHERE role_id = $1 AND deleted_at IS NULL LIMIT 1";

    /// Grants a role.
    GRANT(UUID, INT4) =
        "INSERT INTO authy.user_role (user_id, role_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";

    /// Revokes a role.
    REVOKE(UUID, INT4) = "DELETE FROM authy.user_role WHERE user_id = $1 AND role_id = $2";

    /// The most powerful role. Not one that is more powerful than any that is made here, as an import may bring it, unless
    /// a user has it who is not deleted: it would leave nobody protected. A scalar subquery, because EXISTS could be
    /// planned as a join with all users.
    FIND_TOP() =
        "SELECT role_id FROM authy.role
         WHERE level >= 0
            OR (SELECT 1 FROM authy.user_role JOIN authy.users ON public_id = user_id
                WHERE user_role.role_id = role.role_id AND deleted_at IS NULL LIMIT 1) IS NOT NULL
         ORDER BY level LIMIT 1";

    /// Locks a role until the transaction ends, against revocations of the role but not against grants.
    HOLD(INT4) = "SELECT 1 FROM authy.role WHERE role_id = $1 FOR NO KEY UPDATE";

    /// Whether another user who is not deleted has the role.
    HAS_ANOTHER(INT4, UUID) =
        "SELECT 1 FROM authy.user_role JOIN authy.users ON public_id = user_id
         WHERE role_id = $1 AND user_id <> $2 AND deleted_at IS NULL LIMIT 1";

    /// Whether a user has the role.
    HAS(INT4, UUID) = "SELECT 1 FROM authy.user_role WHERE role_id = $1 AND user_id = $2";

    /// A user's roles.
    LIST_OF_USER(UUID) =
        "SELECT name, description, level FROM authy.user_role JOIN authy.role USING (role_id)
         WHERE user_id = $1 ORDER BY level LIMIT 1000";
}
