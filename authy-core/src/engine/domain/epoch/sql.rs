//! The statements of a change of an account.

use crate::engine::storage::statement::statements;

statements! {
    /// Begins a new epoch: all older tokens of the user are revoked.
    BEGIN_EPOCH(UUID) = "UPDATE authy.users SET ver = ver + 1 WHERE public_id = $1 RETURNING ver";

    /// Ends all sessions of a user except one.
    END_OTHERS(UUID, UUID) =
        "UPDATE authy.session SET ended_at = now()
         WHERE user_id = $1 AND session_id <> $2 AND ended_at IS NULL RETURNING session_id";

    /// Ends all sessions of a user.
    END_ALL(UUID) = "UPDATE authy.session SET ended_at = now() WHERE user_id = $1 AND ended_at IS NULL";
}
