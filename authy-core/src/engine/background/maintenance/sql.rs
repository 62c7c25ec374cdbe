//! The statement of upkeep; what it looks after has statements of its own.

use crate::engine::storage::statement::statements;

statements! {
    /// Lets one instance at a time look after the house.
    LOCK() = "SELECT pg_advisory_xact_lock(418313730683)";
}
