//! The statements that prove the actor.

use crate::engine::storage::statement::statements;

statements! {
    /// Locks accounts until the transaction ends, in the order of their IDs.
    LOCK(UUID_ARRAY) =
        "SELECT public_id, ver, deleted_at IS NOT NULL AS deleted, erased_at IS NOT NULL AS erased
         FROM authy.users WHERE public_id = ANY ($1) ORDER BY public_id FOR UPDATE";

    /// The level of the most powerful role of each account that has one.
    LIST_LEVELS(UUID_ARRAY) =
        "SELECT user_id, min(level) AS level FROM authy.user_role JOIN authy.role USING (role_id)
         WHERE user_id = ANY ($1) GROUP BY user_id";

    /// A session that has not ended. FOR SHARE: ending it waits until the transaction is over.
    SHARE_SESSION(UUID, UUID) =
        "SELECT 1 FROM authy.session WHERE session_id = $1 AND user_id = $2 AND ended_at IS NULL FOR SHARE";

    /// The isolation level of the transaction.
    ISOLATION() = "SELECT current_setting('transaction_isolation')";
}
